//! Columns handed over by the Arrow C stream interface, zero copies.
//!
//! With `reading` the only unsafe code there is. The structs, and who frees what when, are those of
//! <https://arrow.apache.org/docs/format/CDataInterface.html> and `CStreamInterface.html`: whoever
//! takes a struct calls its `release` once; a struct whose `release` is null is free already.

use std::ffi::{c_char, c_int, c_void, CString};
use std::ptr;

use crate::columns::Bits;

/// The values of a column.
pub enum Values {
    /// 64 bits
    U64(Vec<u64>),
    /// 64 bits, signed
    I64(Vec<i64>),
    /// 32 bits
    U32(Vec<u32>),
    /// 32 bits, signed
    I32(Vec<i32>),
    /// 16 bits, signed
    I16(Vec<i16>),
    /// 8 bits, signed
    I8(Vec<i8>),
    /// 16 bits
    U16(Vec<u16>),
    /// 8 bits
    U8(Vec<u8>),
    /// truth values
    Bits(Bits),
    /// offsets of lists, and their items one after the other
    Lists(Vec<i64>, Box<Array>),
    /// offsets and bytes of texts
    Texts(Vec<i64>, Vec<u8>),
    /// columns
    Struct(usize, Vec<Array>),
}

impl Values {
    fn format(&self) -> &'static std::ffi::CStr {
        match self {
            Self::U64(_) => c"L",
            Self::I64(_) => c"l",
            Self::U32(_) => c"I",
            Self::I32(_) => c"i",
            Self::I16(_) => c"s",
            Self::I8(_) => c"c",
            Self::U16(_) => c"S",
            Self::U8(_) => c"C",
            Self::Bits(_) => c"b",
            Self::Lists(..) => c"+L",
            Self::Texts(..) => c"U",
            Self::Struct(..) => c"+s",
        }
    }

    fn len(&self) -> usize {
        match self {
            Self::U64(values) => values.len(),
            Self::I64(values) => values.len(),
            Self::U32(values) => values.len(),
            Self::I32(values) => values.len(),
            Self::I16(values) => values.len(),
            Self::I8(values) => values.len(),
            Self::U16(values) => values.len(),
            Self::U8(values) => values.len(),
            Self::Bits(bits) => bits.len,
            Self::Lists(offsets, _) | Self::Texts(offsets, _) => offsets.len() - 1,
            Self::Struct(len, _) => *len,
        }
    }

    /// The buffers behind that of validity.
    fn buffers(&self) -> Vec<*const c_void> {
        match self {
            Self::U64(values) => vec![values.as_ptr().cast()],
            Self::I64(values) => vec![values.as_ptr().cast()],
            Self::U32(values) => vec![values.as_ptr().cast()],
            Self::I32(values) => vec![values.as_ptr().cast()],
            Self::I16(values) => vec![values.as_ptr().cast()],
            Self::I8(values) => vec![values.as_ptr().cast()],
            Self::U16(values) => vec![values.as_ptr().cast()],
            Self::U8(values) => vec![values.as_ptr().cast()],
            Self::Bits(bits) => vec![bits.bytes.as_ptr().cast()],
            Self::Lists(offsets, _) => vec![offsets.as_ptr().cast()],
            Self::Texts(offsets, bytes) => vec![offsets.as_ptr().cast(), bytes.as_ptr().cast()],
            Self::Struct(..) => vec![],
        }
    }
}

/// One column.
pub struct Array {
    name: CString,
    values: Values,
    valid: Option<Bits>,
    categories: Vec<String>,
}

impl Array {
    /// A column of values, null where they are not `valid`.
    #[must_use]
    pub fn new(name: &str, values: Values, valid: Option<Bits>) -> Self {
        Self {
            name: CString::new(name).unwrap_or_default(),
            values,
            valid: valid.filter(|v| v.ones < v.len),
            categories: Vec::new(),
        }
    }

    /// A column of names, by their number.
    #[must_use]
    pub fn of_names(name: &str, values: Vec<u8>, valid: Option<Bits>, names: &[String]) -> Self {
        let mut array = Self::new(name, Values::U8(values), valid);
        array.categories = names.to_vec();
        array
    }

    /// A column of lists of values, by their offsets in these.
    #[must_use]
    pub fn of_lists(name: &str, offsets: Vec<i64>, values: Values, valid: Option<Bits>) -> Self {
        let items = Box::new(Self::new("item", values, None));
        Self::new(name, Values::Lists(offsets, items), valid)
    }

    /// Columns of one length as one.
    #[must_use]
    pub fn of_columns(len: usize, columns: Vec<Array>) -> Self {
        Self::new("", Values::Struct(len, columns), None)
    }

    /// Number of values.
    #[must_use]
    pub fn len(&self) -> usize {
        self.values.len()
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// What the columns inside are called and hold; the values stay.
    fn children(&self) -> Vec<Array> {
        match &self.values {
            Values::Lists(_, items) => vec![items.emptied()],
            Values::Struct(_, columns) => columns.iter().map(Array::emptied).collect(),
            _ => vec![],
        }
    }

    fn take_children(&mut self) -> Vec<Array> {
        match &mut self.values {
            Values::Lists(_, items) => {
                let none = Box::new(items.emptied());
                vec![*std::mem::replace(items, none)]
            }
            Values::Struct(_, columns) => std::mem::take(columns),
            _ => vec![],
        }
    }

    /// The same kind of column without values.
    fn emptied(&self) -> Array {
        let values = match &self.values {
            Values::U64(_) => Values::U64(vec![]),
            Values::I64(_) => Values::I64(vec![]),
            Values::U32(_) => Values::U32(vec![]),
            Values::I32(_) => Values::I32(vec![]),
            Values::I16(_) => Values::I16(vec![]),
            Values::I8(_) => Values::I8(vec![]),
            Values::U16(_) => Values::U16(vec![]),
            Values::U8(_) => Values::U8(vec![]),
            Values::Bits(_) => Values::Bits(Bits::default()),
            Values::Lists(_, items) => Values::Lists(vec![0], Box::new(items.emptied())),
            Values::Texts(..) => Values::Texts(vec![0], vec![]),
            Values::Struct(..) => Values::Struct(0, self.children()),
        };
        Array {
            name: self.name.clone(),
            values,
            valid: None,
            categories: self.categories.clone(),
        }
    }

    /// The names behind numbers, as a column of texts.
    fn dictionary(&self) -> Option<Array> {
        if self.categories.is_empty() {
            return None;
        }
        let mut offsets = vec![0];
        let mut bytes = Vec::new();
        for name in &self.categories {
            bytes.extend_from_slice(name.as_bytes());
            offsets.push(bytes.len() as i64);
        }
        Some(Array::new("", Values::Texts(offsets, bytes), None))
    }

    /// What Polars writes beside a dictionary to tell that its names are a fixed list.
    fn metadata(&self) -> Vec<u8> {
        if self.categories.is_empty() {
            return vec![];
        }
        let key = b"_PL_ENUM_VALUES2";
        let names = self.categories.iter();
        let each: Vec<String> = names.map(|n| format!("{};{n}", n.len())).collect();
        let value = each.concat();
        let mut bytes = 1i32.to_ne_bytes().to_vec();
        for part in [&key[..], value.as_bytes()] {
            bytes.extend_from_slice(&(part.len() as i32).to_ne_bytes());
            bytes.extend_from_slice(part);
        }
        bytes
    }
}

const NULLABLE: i64 = 2;

/// `struct ArrowSchema`
#[repr(C)]
pub struct ArrowSchema {
    pub(crate) format: *const c_char,
    pub(crate) name: *const c_char,
    pub(crate) metadata: *const c_char,
    pub(crate) flags: i64,
    pub(crate) n_children: i64,
    pub(crate) children: *mut *mut ArrowSchema,
    pub(crate) dictionary: *mut ArrowSchema,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowSchema)>,
    pub(crate) private_data: *mut c_void,
}

/// `struct ArrowArray`
#[repr(C)]
pub struct ArrowArray {
    pub(crate) length: i64,
    pub(crate) null_count: i64,
    pub(crate) offset: i64,
    pub(crate) n_buffers: i64,
    pub(crate) n_children: i64,
    pub(crate) buffers: *mut *const c_void,
    pub(crate) children: *mut *mut ArrowArray,
    pub(crate) dictionary: *mut ArrowArray,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArray)>,
    pub(crate) private_data: *mut c_void,
}

/// `struct ArrowArrayStream`
#[repr(C)]
pub struct ArrowArrayStream {
    pub(crate) get_schema:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowSchema) -> c_int>,
    pub(crate) get_next:
        Option<unsafe extern "C" fn(*mut ArrowArrayStream, *mut ArrowArray) -> c_int>,
    pub(crate) get_last_error: Option<unsafe extern "C" fn(*mut ArrowArrayStream) -> *const c_char>,
    pub(crate) release: Option<unsafe extern "C" fn(*mut ArrowArrayStream)>,
    pub(crate) private_data: *mut c_void,
}

// The pointers are to what the struct itself owns.
unsafe impl Send for ArrowArrayStream {}

impl Drop for ArrowArrayStream {
    fn drop(&mut self) {
        if let Some(release) = self.release {
            // A struct that nobody took is released by who made it.
            unsafe { release(self) }
        }
    }
}

/// What a schema's pointers point to.
struct HeldSchema {
    name: CString,
    metadata: Vec<u8>,
    children: Vec<*mut ArrowSchema>,
    dictionary: *mut ArrowSchema,
}

/// What an array's pointers point to.
struct HeldArray {
    array: Array,
    buffers: Vec<*const c_void>,
    children: Vec<*mut ArrowArray>,
    dictionary: *mut ArrowArray,
}

/// What is left of a stream: what it holds, and the one batch until it is asked for.
struct HeldStream {
    kind: Array,
    batch: Option<Array>,
}

fn boxed<T>(value: T) -> *mut T {
    Box::into_raw(Box::new(value))
}

fn schema_of(array: &Array) -> ArrowSchema {
    let children = array.children();
    let mut held = Box::new(HeldSchema {
        name: array.name.clone(),
        metadata: array.metadata(),
        children: children.iter().map(|c| boxed(schema_of(c))).collect(),
        dictionary: array
            .dictionary()
            .map_or(ptr::null_mut(), |d| boxed(schema_of(&d))),
    });
    ArrowSchema {
        format: array.values.format().as_ptr(),
        name: held.name.as_ptr(),
        metadata: if held.metadata.is_empty() {
            ptr::null()
        } else {
            held.metadata.as_ptr().cast()
        },
        flags: NULLABLE,
        n_children: held.children.len() as i64,
        children: held.children.as_mut_ptr(),
        dictionary: held.dictionary,
        release: Some(release_schema),
        private_data: Box::into_raw(held).cast(),
    }
}

fn array_of(mut array: Array) -> ArrowArray {
    let children = array.take_children();
    let dictionary = array.dictionary();
    let length = array.values.len() as i64;
    let nulls = array.valid.as_ref().map_or(0, |v| v.len - v.ones);
    let valid = array.valid.as_ref();
    let mut buffers = vec![valid.map_or(ptr::null(), |v| v.bytes.as_ptr().cast())];
    buffers.extend(array.values.buffers());
    let mut held = Box::new(HeldArray {
        array,
        buffers,
        children: children.into_iter().map(|c| boxed(array_of(c))).collect(),
        dictionary: dictionary.map_or(ptr::null_mut(), |d| boxed(array_of(d))),
    });
    ArrowArray {
        length,
        null_count: nulls as i64,
        offset: 0,
        n_buffers: held.buffers.len() as i64,
        n_children: held.children.len() as i64,
        buffers: held.buffers.as_mut_ptr(),
        children: held.children.as_mut_ptr(),
        dictionary: held.dictionary,
        release: Some(release_array),
        private_data: Box::into_raw(held).cast(),
    }
}

/// A stream of one batch.
#[must_use]
pub fn stream_of(batch: Array) -> ArrowArrayStream {
    let held = HeldStream {
        kind: batch.emptied(),
        batch: Some(batch),
    };
    ArrowArrayStream {
        get_schema: Some(get_schema),
        get_next: Some(get_next),
        get_last_error: Some(get_last_error),
        release: Some(release_stream),
        private_data: boxed(held).cast(),
    }
}

unsafe extern "C" fn get_schema(stream: *mut ArrowArrayStream, out: *mut ArrowSchema) -> c_int {
    // The caller holds a stream of ours that is not released, and room for a schema.
    unsafe {
        let held = (*stream).private_data.cast::<HeldStream>();
        out.write(schema_of(&(*held).kind));
    }
    0
}

unsafe extern "C" fn get_next(stream: *mut ArrowArrayStream, out: *mut ArrowArray) -> c_int {
    // Likewise; a released array tells the end.
    unsafe {
        let held = (*stream).private_data.cast::<HeldStream>();
        match (*held).batch.take() {
            Some(batch) => out.write(array_of(batch)),
            None => out.write(std::mem::zeroed()),
        }
    }
    0
}

unsafe extern "C" fn get_last_error(_: *mut ArrowArrayStream) -> *const c_char {
    ptr::null() // there are none
}

unsafe extern "C" fn release_stream(stream: *mut ArrowArrayStream) {
    unsafe {
        drop(Box::from_raw((*stream).private_data.cast::<HeldStream>()));
        (*stream).release = None;
    }
}

unsafe extern "C" fn release_schema(schema: *mut ArrowSchema) {
    unsafe {
        let held = Box::from_raw((*schema).private_data.cast::<HeldSchema>());
        for &child in held.children.iter().chain([&held.dictionary]) {
            release_boxed_schema(child);
        }
        (*schema).release = None;
    }
}

/// Children may have been taken out and released by themselves; the box is still ours.
unsafe fn release_boxed_schema(child: *mut ArrowSchema) {
    if child.is_null() {
        return;
    }
    unsafe {
        if let Some(release) = (*child).release {
            release(child);
        }
        drop(Box::from_raw(child));
    }
}

unsafe extern "C" fn release_array(array: *mut ArrowArray) {
    unsafe {
        let held = Box::from_raw((*array).private_data.cast::<HeldArray>());
        for &child in held.children.iter().chain([&held.dictionary]) {
            release_boxed_array(child);
        }
        drop(held.array);
        (*array).release = None;
    }
}

unsafe fn release_boxed_array(child: *mut ArrowArray) {
    if child.is_null() {
        return;
    }
    unsafe {
        if let Some(release) = (*child).release {
            release(child);
        }
        drop(Box::from_raw(child));
    }
}
