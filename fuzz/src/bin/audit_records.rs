//! Is every record one line of the published form without a word of the request?
#![no_main]

use dcams_gateway_fuzz::mutate::{change_bytes, mutate};
use dcams_gateway_fuzz::records::check;
use dcams_gateway_fuzz::shares::Shares;
use libfuzzer_sys::{Corpus, fuzz_mutator, fuzz_target};

static SHARES: Shares<3> = Shares::new(["without a body", "valid", "violating"]);

const VALID: [&[u8]; 4] = [
    include_bytes!("../../corpus/audit_records/create.bin"),
    include_bytes!("../../corpus/audit_records/status.bin"),
    include_bytes!("../../corpus/audit_records/update.bin"),
    include_bytes!("../../corpus/audit_records/hex-id.bin"),
];

fuzz_target!(|input: &[u8]| -> Corpus {
    let Some(verdict) = check(input) else { return Corpus::Reject };
    SHARES.count(verdict as usize);
    Corpus::Keep
});

fuzz_mutator!(|data: &mut [u8], size: usize, max_size: usize, seed: u32| {
    let mut size = size;
    // Half of them begin anew with a valid one.
    let valid = VALID[seed as usize / 2 % VALID.len()];
    if seed % 2 == 0 && valid.len() <= max_size {
        data[..valid.len()].copy_from_slice(valid);
        size = valid.len();
    }
    let numbers = 1 + data.first().map_or(0, |count| usize::from(*count));
    // Now and then there are more numbers or less, or all is another.
    if size <= numbers || max_size <= numbers || seed % 64 == 1 {
        return libfuzzer_sys::fuzzer_mutate(data, size, max_size);
    }
    if seed % 16 < 12 && numbers > 1 {
        change_bytes(&mut data[1..numbers], seed / 8);
        return size;
    }
    numbers + mutate(&mut data[numbers..], size - numbers, max_size - numbers, seed / 8)
});
