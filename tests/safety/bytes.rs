//! Short byte strings: the same bytes go in and come out, wherever they are kept.

use crate::lock::bytes::ShortBytes;
use crate::replay;
use proptest::prelude::*;

fn short(bytes: &[u8]) -> ShortBytes {
    bytes.into()
}

#[test]
fn up_to_22_bytes_need_no_allocation() {
    for length in 0..=22 {
        assert_eq!(short(&vec![7; length]).heap_bytes(), 0);
    }
    for length in [23, 24, 512] {
        assert_eq!(short(&vec![7; length]).heap_bytes(), length);
    }
    assert!(size_of::<ShortBytes>() <= 24);
}

#[test]
fn strings_that_differ_in_one_byte_or_in_length_are_not_equal() {
    for length in [1, 21, 22, 23, 512] {
        let bytes = vec![7; length];
        for place in 0..length {
            let mut other = bytes.clone();
            other[place] = 8;
            assert_ne!(short(&bytes), short(&other));
        }
        assert_ne!(short(&bytes), short(&bytes[1..]));
        assert_ne!(short(&bytes[..length - 1]), short(&bytes));
    }
    assert_ne!(short(b""), short(b"\0"));
}

#[test]
fn bytes_that_are_no_text_can_be_shown() {
    assert_eq!(format!("{:?}", short(b"a\"\xff\0")), r#""a\"\xff\x00""#);
}

proptest! {
    #![proptest_config(replay::config())]

    #[test]
    fn what_goes_in_comes_out(bytes in prop::collection::vec(any::<u8>(), 0..60)) {
        let kept = short(&bytes);
        prop_assert_eq!(&*kept, &bytes[..]);
        prop_assert_eq!(&kept.clone(), &kept);
        prop_assert_eq!(&kept, &short(&bytes));
    }
}
