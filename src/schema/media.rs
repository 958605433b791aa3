//! Which type of image do these first bytes announce?

use super::MediaType;

/// Brands of the `ftyp` box (ISO 14496-12) that mean HEVC-coded images (ISO 23008-12, annex B).
const HEIC_BRANDS: [&[u8]; 7] = [b"heic", b"heix", b"heim", b"heis", b"hevc", b"hevx", b"hevm"];
/// Brands that leave the coding open: the compatible brands tell.
const OPEN_BRANDS: [&[u8]; 2] = [b"mif1", b"msf1"];

impl MediaType {
    /// All types, in the order of the documentation.
    pub const ALL: [Self; 6] = [Self::Jpeg, Self::Png, Self::Webp, Self::Tiff, Self::Heic, Self::Pdf];

    /// The registered name, for example `image/jpeg`.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Jpeg => "image/jpeg",
            Self::Png => "image/png",
            Self::Webp => "image/webp",
            Self::Tiff => "image/tiff",
            Self::Heic => "image/heic",
            Self::Pdf => "application/pdf",
        }
    }

    /// The type of that registered name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|media| media.name() == name)
    }

    /// The type that the first bytes of a file announce; 24 bytes are enough for all but HEIC files whose
    /// first brand leaves the coding open.
    #[must_use]
    pub fn of(head: &[u8]) -> Option<Self> {
        match head {
            [0xFF, 0xD8, 0xFF, ..] => Some(Self::Jpeg),
            [0x89, b'P', b'N', b'G', b'\r', b'\n', 0x1A, b'\n', ..] => Some(Self::Png),
            [b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'E', b'B', b'P', ..] => Some(Self::Webp),
            [b'I', b'I', b'*', 0, ..] | [b'M', b'M', 0, b'*', ..] => Some(Self::Tiff),
            [b'%', b'P', b'D', b'F', b'-', ..] => Some(Self::Pdf),
            [_, _, _, _, b'f', b't', b'y', b'p', ..] => is_heic(head).then_some(Self::Heic),
            _ => None,
        }
    }
}

/// Reads the `ftyp` box: size (4 bytes), `ftyp`, major brand, version (4 bytes), compatible brands.
fn is_heic(head: &[u8]) -> bool {
    let [a, b, c, d, _, _, _, _, major @ ..] = head else { return false };
    let box_bytes = u32::from_be_bytes([*a, *b, *c, *d]) as usize;
    let brand = major.get(..4).unwrap_or(&[]);
    let compatible = head.get(16..box_bytes.min(head.len())).unwrap_or(&[]);
    HEIC_BRANDS.contains(&brand)
        || (OPEN_BRANDS.contains(&brand)
            && compatible.chunks_exact(4).any(|brand| HEIC_BRANDS.contains(&brand)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(name: &str) -> Vec<u8> {
        std::fs::read(format!("{}/tests/images/{name}", env!("CARGO_MANIFEST_DIR"))).unwrap()
    }

    #[test]
    fn what_real_encoders_write_is_known_by_its_first_bytes() {
        for (name, media) in [
            ("phone-photo.jpg", MediaType::Jpeg),
            ("medium.jpg", MediaType::Jpeg),
            ("thumbnail.jpg", MediaType::Jpeg),
            ("scan.png", MediaType::Png),
            ("scan.webp", MediaType::Webp),
            ("scan-little-endian.tiff", MediaType::Tiff),
            ("scan-big-endian.tiff", MediaType::Tiff),
            ("phone-photo.heic", MediaType::Heic),
            ("scan.pdf", MediaType::Pdf),
        ] {
            assert_eq!(MediaType::of(&file(name)), Some(media), "{name}");
        }
    }

    #[test]
    fn an_open_brand_is_heic_only_with_a_heic_brand_beside_it() {
        let ftyp = |major: &[u8; 4], compatible: &[u8]| {
            let size = u32::try_from(16 + compatible.len()).unwrap().to_be_bytes();
            [&size[..], b"ftyp", major, &[0; 4], compatible].concat()
        };
        assert_eq!(MediaType::of(&ftyp(b"heic", b"mif1heic")), Some(MediaType::Heic));
        assert_eq!(MediaType::of(&ftyp(b"mif1", b"mif1heic")), Some(MediaType::Heic));
        assert_eq!(MediaType::of(&ftyp(b"mif1", b"mif1avif")), None);
        assert_eq!(MediaType::of(&ftyp(b"avif", b"mif1heic")), None);
        assert_eq!(MediaType::of(&ftyp(b"isom", b"mp42")), None);
    }

    #[test]
    fn a_brand_outside_the_ftyp_box_does_not_count() {
        let bytes = [&[0, 0, 0, 20][..], b"ftyp", b"mif1", &[0; 4], b"mif1", b"heic"].concat();
        assert_eq!(MediaType::of(&bytes), None);
    }

    #[test]
    fn other_files_and_cut_heads_are_unknown() {
        for head in [
            &b""[..],
            b"GIF89a",
            b"BM",
            b"\xFF\xD8",
            b"RIFF\0\0\0\0WAVE",
            b"%PDF",
            b" %PDF-1.4",
            b"\0\0\0\x18ftyp",
        ] {
            assert_eq!(MediaType::of(head), None, "{head:?}");
        }
    }

    #[test]
    fn every_name_leads_back_to_its_type() {
        for media in MediaType::ALL {
            assert_eq!(MediaType::from_name(media.name()), Some(media));
        }
        assert_eq!(MediaType::from_name("image/gif"), None);
    }
}
