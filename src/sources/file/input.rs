//! The bytes of a file, unpacked where it is compressed.

use std::fs::{File, Metadata};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileExt, MetadataExt};
use std::path::Path;

/// Bytes of a compressed file that are unpacked at once, only to be passed over.
const PASS_BYTES: usize = 64 * 1024;

/// What tells a file from every other that exists at the same time: its device and its inode.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Place {
    /// Number of the device.
    pub device: u64,
    /// Number of the inode.
    pub inode: u64,
}

impl Place {
    /// Where the file with this metadata lies.
    pub fn of(metadata: &Metadata) -> Place {
        Place { device: metadata.dev(), inode: metadata.ino() }
    }
}

/// A file that is open.
pub struct Input {
    file: File,
    packed: Option<Packed>,
    /// Whether there was too little in it to tell, when it was looked at last.
    is_undecided: bool,
}

#[derive(Clone, Copy)]
enum Format {
    Gzip,
    Zstd,
}

struct Packed {
    format: Format,
    reader: Option<Box<dyn Read + Send>>,
    /// How much has been unpacked.
    at: u64,
}

/// Why nothing could be read.
#[derive(Debug)]
pub enum Trouble {
    /// The file itself can't be read.
    Io(io::Error),
    /// It can be read but not unpacked.
    Broken(String),
    /// It ends in the middle of what is packed: it may still be written to.
    Unfinished,
}

impl Trouble {
    /// Whether it is what was packed that is wrong, and not the reading.
    pub fn is_of_packing(&self) -> bool {
        matches!(self, Trouble::Broken(_) | Trouble::Unfinished)
    }
}

/// How packed files begin, as far as it tells them from others.
const MAGIC: [&[u8]; 2] = [&[0x1f, 0x8b], &[0x28, 0xb5, 0x2f, 0xfd]];

impl Input {
    /// Opens a regular file.
    pub fn open(path: &Path) -> io::Result<Input> {
        // A pipe that matches a pattern would block whoever opens it.
        if !std::fs::metadata(path)?.is_file() {
            return Err(io::Error::new(ErrorKind::InvalidInput, "it is no regular file"));
        }
        let mut input = Input { file: File::open(path)?, packed: None, is_undecided: true };
        input.look()?;
        Ok(input)
    }

    /// Opens the file that was found at `place`; none where it has another name by now.
    pub fn open_at(path: &Path, place: Option<Place>) -> io::Result<Option<Input>> {
        match Input::open(path) {
            Ok(input) => Ok(Some(input).filter(|input| input.is_at(place))),
            Err(e) if e.kind() == ErrorKind::NotFound => Ok(None),
            Err(e) => Err(e),
        }
    }

    fn is_at(&self, place: Option<Place>) -> bool {
        self.metadata().is_ok_and(|metadata| Some(Place::of(&metadata)) == place)
    }

    /// Finds out whether the file is packed, once enough is in it: who packs a log makes an empty file first.
    fn look(&mut self) -> io::Result<()> {
        let mut magic = [0; 4];
        let read = self.file.read_at(&mut magic, 0)?;
        let format = match magic.get(..read).unwrap_or_default() {
            [0x1f, 0x8b, ..] => Some(Format::Gzip),
            [0x28, 0xb5, 0x2f, 0xfd] => Some(Format::Zstd),
            _ => None,
        };
        self.packed = format.map(|format| Packed { format, reader: None, at: 0 });
        let is_prefix = |whole: &&[u8]| whole.starts_with(magic.get(..read).unwrap_or_default());
        self.is_undecided = self.packed.is_none() && MAGIC.iter().any(is_prefix);
        Ok(())
    }

    /// Its metadata as they are now.
    pub fn metadata(&self) -> io::Result<Metadata> {
        self.file.metadata()
    }

    /// Whether it is compressed.
    pub fn is_packed(&self) -> bool {
        self.packed.is_some()
    }

    /// Whether a packed file is being unpacked since it was opened.
    pub fn is_under_way(&self) -> bool {
        self.packed.as_ref().is_some_and(|packed| packed.reader.is_some())
    }

    /// How far a packed file has been read, in bytes on the disk, give or take what is read ahead.
    pub fn unpacked_up_to(&self) -> u64 {
        // The unpacker's handle and this one share their place in the file.
        (&self.file).stream_position().unwrap_or(0)
    }

    /// Begins anew at the next read: the file has grown since.
    pub fn reopen(&mut self) {
        if let Some(packed) = &mut self.packed {
            packed.reader = None;
            packed.at = 0;
        }
    }

    /// Reads from `offset` of the unpacked bytes on. None at the end.
    pub fn read_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, Trouble> {
        if self.is_undecided {
            self.look().map_err(Trouble::Io)?;
        }
        match &mut self.packed {
            None => loop {
                match self.file.read_at(buffer, offset) {
                    Err(e) if e.kind() == ErrorKind::Interrupted => {}
                    read => return read.map_err(Trouble::Io),
                }
            },
            Some(packed) => packed.read_at(&self.file, buffer, offset),
        }
    }

    /// Fills `buffer` from `offset` on, as far as there is something.
    pub fn fill_at(&mut self, buffer: &mut [u8], offset: u64) -> Result<usize, Trouble> {
        let mut filled = 0;
        while let Some(rest) = buffer.get_mut(filled..).filter(|rest| !rest.is_empty()) {
            match self.read_at(rest, offset + filled as u64)? {
                0 => break,
                read => filled += read,
            }
        }
        Ok(filled)
    }
}

impl Packed {
    fn read_at(&mut self, file: &File, buffer: &mut [u8], offset: u64) -> Result<usize, Trouble> {
        if self.reader.is_none() || offset < self.at {
            self.reader = Some(self.unpacker(file).map_err(Trouble::Io)?);
            self.at = 0;
        }
        let mut passed = vec![0; PASS_BYTES];
        while self.at < offset {
            let len = usize::try_from(offset - self.at).unwrap_or(PASS_BYTES).min(PASS_BYTES);
            if self.read(passed.get_mut(..len).unwrap_or_default())? == 0 {
                return Ok(0);
            }
        }
        self.read(buffer)
    }

    fn read(&mut self, buffer: &mut [u8]) -> Result<usize, Trouble> {
        let Some(reader) = &mut self.reader else { return Ok(0) };
        loop {
            match reader.read(buffer) {
                Ok(read) => {
                    self.at += read as u64;
                    return Ok(read);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) if e.kind() == ErrorKind::UnexpectedEof => return Err(Trouble::Unfinished),
                // What the system says has a number; what an unpacker says has not.
                Err(e) if e.raw_os_error().is_some() => return Err(Trouble::Io(e)),
                Err(e) => return Err(Trouble::Broken(e.to_string())),
            }
        }
    }

    fn unpacker(&self, file: &File) -> io::Result<Box<dyn Read + Send>> {
        let mut file = file.try_clone()?;
        file.seek(SeekFrom::Start(0))?;
        Ok(match self.format {
            Format::Gzip => {
                Box::new(flate2::read::MultiGzDecoder::new(io::BufReader::with_capacity(PASS_BYTES, file)))
            }
            Format::Zstd => Box::new(zstd::stream::read::Decoder::new(file)?),
        })
    }
}
