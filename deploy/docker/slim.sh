#!/bin/sh
# Takes out of an installed folder what a running spanlint never reads: debug symbols, tests, caches.
# What is left is printed in MB, since images are pulled a thousand times.
set -eu
folder=$1
find "$folder" -type d \( -name tests -o -name __pycache__ \) -prune -exec rm -rf {} +
find "$folder" -type f \( -name '*.pyi' -o -name '*.h' -o -name '*.c' -o -name '*.pyx' -o -name '*.pxd' \) -delete
rm -rf "$folder"/bin "$folder"/numpy/f2py "$folder"/numpy/distutils
# Every extension module; not numpy.libs, whose libraries do not survive stripping.
find "$folder" -name '*.so' -not -path '*/numpy.libs/*' -exec strip --strip-unneeded {} +
du -sm "$folder" | cut -f1
