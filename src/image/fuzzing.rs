//! What must hold for any bytes that call themselves a picture. Tried as [`crate::fuzzing`] says.

use std::io::{self, Cursor, Read, Seek, SeekFrom};

use super::*;

/// A file that counts how it is used.
struct Counted<'a> {
    file: Cursor<&'a [u8]>,
    reads: usize,
    bytes: usize,
}

impl Read for Counted<'_> {
    fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
        let read = self.file.read(into)?;
        self.reads += 1;
        self.bytes += read;
        Ok(read)
    }
}

impl Seek for Counted<'_> {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// A picture is recognised with little reading, and one that passes the check is what its header says.
pub fn picture(data: &[u8]) {
    let mut file = Counted { file: Cursor::new(data), reads: 0, bytes: 0 };
    let sniffed = sniff(&mut file);
    assert!(file.reads <= 10_000 && file.bytes <= 20_000, "{} bytes in {} reads", file.bytes, file.reads);
    let Ok(Header { format, size, .. }) = sniffed else { return };
    assert!(u64::from(size.width) * u64::from(size.height) <= MAX_PIXELS);
    // Larger ones take too long to be tried often.
    if size.width > 256 || size.height > 256 {
        return;
    }
    let other = Size { width: size.height, height: size.width + 1 };
    assert!(check(data, format, other).is_err(), "a picture of {size} passes as one of {other}");
    if let Ok(checked) = check(data, format, size) {
        assert_eq!((checked.format, checked.size), (format, size));
        let hash = STANDARD.decode(&checked.thumbhash).expect("a thumbhash is base64");
        assert!(hash.len() <= 40, "{} bytes of thumbhash", hash.len());
        let cut = check(&data[..data.len() - 1], format, size);
        assert!(cut.is_err() || matches!(data.last(), Some(0 | b'\r' | b'\n')), "a picture without its end passes");
    }
}
