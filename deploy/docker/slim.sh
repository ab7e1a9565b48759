#!/bin/sh
# Takes out of an installed folder what a running spanlint never reads: debug symbols, tests, caches.
# What is left is printed in MB, since images are pulled a thousand times.
set -eu
folder=$1
find "$folder" -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$folder" -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf "$folder"/bin "$folder"/numpy/f2py "$folder"/numpy/distutils
# Not numpy.libs: those libraries do not survive stripping.
for package in _polars_runtime_32 grpc zstandard uvloop httptools isal pydantic_core; do
    find "$folder/$package" -name '*.so' -exec strip --strip-unneeded {} + 2>/dev/null || true
done
du -sm "$folder" | cut -f1
