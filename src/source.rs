//! The files of a repository, and places in them.
//!
//! In: a [`Files`], which lists and reads (the disk in `cli::fs`, a map in tests). Out: texts by path, each read once, and
//! [`Origin`]s: a file and a byte offset, eight bytes, turned into line and column only when a message needs them.
//! Touches nothing but the [`Files`] it is given.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A larger file is refused before it is read whole.
pub const MAX_FILE_BYTES: u64 = 16 << 20;

/// What can go wrong with one file; the path is the caller's to add.
#[derive(Clone, Debug, Eq, PartialEq, thiserror::Error)]
pub enum FileError {
    /// Nothing is there.
    #[error("no such file or folder")]
    NotFound,
    /// The path, or a link on its way, leads out of the repository.
    #[error("leads out of the repository")]
    Outside,
    /// Larger than [`MAX_FILE_BYTES`].
    #[error("is larger than {} MiB", MAX_FILE_BYTES >> 20)]
    TooLarge,
    /// A socket, pipe or device.
    #[error("is not a regular file")]
    NotRegular,
    /// The bytes are not text.
    #[error("is not UTF-8 text")]
    NotText,
    /// Whatever else the system said.
    #[error("{0}")]
    Io(String),
}

/// Where files come from. Paths are relative to the repository's root, with `/`, without `.` and `..`.
pub trait Files: Sync {
    /// Every file below `folder`, recursively, in any order; hidden names (`.` or `_` first) may be left out.
    ///
    /// # Errors
    /// [`FileError::NotFound`] where `folder` is not a folder.
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError>;
    /// The bytes of one file.
    ///
    /// # Errors
    /// As [`FileError`] says.
    fn read(&self, path: &str) -> Result<Vec<u8>, FileError>;
}

/// Files in memory: path to text.
impl Files for BTreeMap<String, String> {
    fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let prefix = if folder.is_empty() { String::new() } else { format!("{folder}/") };
        let found: Vec<String> = self.keys().filter(|path| path.starts_with(&prefix)).cloned().collect();
        if found.is_empty() { Err(FileError::NotFound) } else { Ok(found) }
    }

    fn read(&self, path: &str) -> Result<Vec<u8>, FileError> {
        self.get(path).map(|text| text.clone().into_bytes()).ok_or(FileError::NotFound)
    }
}

/// A byte in a file; [`Origin::NONE`] for what no file holds.
#[derive(Clone, Copy, Debug, Eq, Hash, Ord, PartialEq, PartialOrd)]
pub struct Origin {
    file: u32,
    offset: u32,
}

impl Origin {
    /// Not from a file: release defaults, command-line values.
    pub const NONE: Self = Self { file: u32::MAX, offset: 0 };

    /// The byte `offset` of `file`.
    #[must_use]
    pub fn new(file: FileId, offset: u32) -> Self {
        Self { file: file.0, offset }
    }

    /// The file, unless there is none.
    #[must_use]
    pub fn file(self) -> Option<FileId> {
        (self.file != u32::MAX).then_some(FileId(self.file))
    }

    /// The byte offset within the file.
    #[must_use]
    pub fn offset(self) -> u32 {
        self.offset
    }
}

/// A file of a [`SourceTree`].
#[derive(Clone, Copy, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct FileId(u32);

/// A file that was read.
#[derive(Debug)]
pub struct Source {
    /// Path from the repository's root.
    pub path: String,
    /// Its text, byte order mark removed.
    pub text: String,
}

/// An [`Origin`] as people read it: 1-based line and column (in characters), and the line itself.
#[derive(Clone, Debug, Eq, Ord, PartialEq, PartialOrd)]
pub struct Position<'a> {
    /// Path from the repository's root.
    pub path: &'a str,
    /// 1-based.
    pub line: usize,
    /// 1-based, in characters.
    pub column: usize,
    /// The text of the line.
    pub text: &'a str,
}

impl Source {
    /// Line and column of a byte offset.
    #[must_use]
    pub fn position(&self, offset: u32) -> Position<'_> {
        let mut at = (offset as usize).min(self.text.len());
        while !self.text.is_char_boundary(at) {
            at -= 1;
        }
        let start = self.text[..at].rfind('\n').map_or(0, |newline| newline + 1);
        let end = self.text[at..].find('\n').map_or(self.text.len(), |newline| at + newline);
        Position {
            path: &self.path,
            line: self.text[..start].bytes().filter(|&byte| byte == b'\n').count() + 1,
            column: self.text[start..at].chars().count() + 1,
            text: self.text[start..end].trim_end_matches('\r'),
        }
    }
}

/// The files read so far. Reading is lazy: what no site names is never opened.
pub struct SourceTree<'f> {
    files: &'f dyn Files,
    read: Arc<Mutex<Vec<Arc<Source>>>>,
    /// Texts by path that trees beside each other may share; absent where there is one tree.
    shared: Option<Arc<SharedSources>>,
}

/// Of each path, the texts that were read, each once.
type SharedSources = Mutex<BTreeMap<String, Vec<(FileId, Arc<Source>)>>>;

impl<'f> SourceTree<'f> {
    /// A tree over `files`, nothing read yet.
    #[must_use]
    pub fn new(files: &'f dyn Files) -> Self {
        Self { files, read: Arc::default(), shared: None }
    }

    /// Two trees over the two sides of a comparison: an [`Origin`] of one is known to the other, and a path that holds the
    /// same bytes on both sides is one file.
    #[must_use]
    pub fn pair<'b, 'h>(base: &'b dyn Files, head: &'h dyn Files) -> (SourceTree<'b>, SourceTree<'h>) {
        let (read, shared) = (Arc::default(), Some(Arc::default()));
        (
            SourceTree { files: base, read: Arc::clone(&read), shared: shared.clone() },
            SourceTree { files: head, read, shared },
        )
    }

    fn sources(&self) -> MutexGuard<'_, Vec<Arc<Source>>> {
        // A panic elsewhere cannot leave a push half done.
        self.read.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Every file below `folder`, in byte order.
    ///
    /// # Errors
    /// Where the folder cannot be listed.
    pub fn list(&self, folder: &str) -> Result<Vec<String>, FileError> {
        let mut paths = self.files.list(folder)?;
        paths.sort_unstable();
        Ok(paths)
    }

    /// Reads one file. Callers read each path once and keep what they made of it.
    ///
    /// # Errors
    /// Where it cannot be read or is not UTF-8.
    pub fn load(&self, path: &str) -> Result<(FileId, Arc<Source>), FileError> {
        let mut bytes = self.files.read(path)?;
        if bytes.starts_with(b"\xef\xbb\xbf") {
            bytes.drain(..3);
        }
        let text = String::from_utf8(bytes).map_err(|_| FileError::NotText)?;
        let Some(shared) = &self.shared else { return Ok(self.add(path, text)) };
        let mut shared = shared.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(known) = shared.get(path).and_then(|known| known.iter().find(|(_, known)| known.text == text)) {
            return Ok(known.clone());
        }
        let added = self.add(path, text);
        shared.entry(path.to_owned()).or_default().push(added.clone());
        Ok(added)
    }

    /// Adds a text that no file holds as such: what a `.j2` file yields, a command-line value.
    pub fn add(&self, path: &str, text: String) -> (FileId, Arc<Source>) {
        let source = Arc::new(Source { path: path.to_owned(), text });
        let mut sources = self.sources();
        // 2^32 files of a byte each would not fit in memory either.
        let id = FileId(u32::try_from(sources.len()).unwrap_or(u32::MAX - 1));
        sources.push(Arc::clone(&source));
        (id, source)
    }

    /// The file an origin lies in.
    #[must_use]
    pub fn source(&self, file: FileId) -> Option<Arc<Source>> {
        self.sources().get(file.0 as usize).cloned()
    }

    /// `path:line:column` of an origin, or nothing for [`Origin::NONE`].
    #[must_use]
    pub fn place(&self, origin: Origin) -> Option<String> {
        let source = self.source(origin.file()?)?;
        let position = source.position(origin.offset());
        Some(format!("{}:{}:{}", position.path, position.line, position.column))
    }

    /// The paths read so far, in the order of reading.
    #[must_use]
    pub fn paths(&self) -> Vec<String> {
        self.sources().iter().map(|source| source.path.clone()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_characters_and_carriage_returns_are_no_text() {
        let source = Source { path: "a.yaml".into(), text: "a: ü\r\nbü: c\r\n".into() };
        let position = source.position(12);
        assert_eq!((position.line, position.column, position.text), (2, 5, "bü: c"));
        assert_eq!(source.position(9999).line, 3);
    }

    #[test]
    fn the_byte_order_mark_is_no_text() {
        let files = BTreeMap::from([("a".to_owned(), "\u{feff}x: 1".to_owned())]);
        let tree = SourceTree::new(&files);
        let (id, source) = tree.load("a").unwrap();
        assert_eq!(source.text, "x: 1");
        assert_eq!(tree.place(Origin::new(id, 3)).unwrap(), "a:1:4");
    }
}
