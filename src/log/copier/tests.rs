//! What two threads copy is what one copies.

use super::*;
use crate::storage::sim::SimDisk;

const SALT: u64 = 3;
const LEN: usize = 5 << 20;

fn region(len: usize) -> Region {
    SimDisk::new().storage().create("copied", len).unwrap()
}

/// Copies frames of many lengths, 4 MiB together; returns where they are.
fn copy_many(copier: &mut Copier<'_>) -> Result<Vec<usize>> {
    let mut offsets = Vec::new();
    let mut len = 0;
    for number in 0_u32.. {
        let bytes =
            vec![number.to_le_bytes()[0]; 64 + usize::try_from(number * 37 % 5_000).unwrap()];
        len += bytes.len();
        if len > 4 << 20 {
            break;
        }
        offsets.push(copier.copy(&bytes, number)?);
    }
    Ok(offsets)
}

fn bytes_of(region: &Region) -> Vec<u8> {
    let mut bytes = vec![0; region.published()];
    region.read_at(0, &mut bytes).unwrap();
    bytes
}

#[test]
fn a_thread_that_writes_changes_nothing() {
    let (mut one, mut two) = (region(LEN), region(LEN));
    for region in [&mut one, &mut two] {
        assert!(region.append(&[1; BLOCK_LEN]).unwrap());
    }
    let mut copier = Copier::new(&mut one, SALT);
    let offsets = copy_many(&mut copier).unwrap();
    copier.finish().unwrap();
    let mut offsets_beside = Vec::new();
    copy_beside(&mut two, SALT, |copier| {
        offsets_beside = copy_many(copier)?;
        Ok(())
    })
    .unwrap();
    assert_eq!(offsets.first(), Some(&BLOCK_LEN));
    assert_eq!(offsets, offsets_beside);
    assert!(one.published() > 3 * PIECE);
    assert!(bytes_of(&one) == bytes_of(&two));
}

#[test]
fn a_region_without_room_is_the_error_and_not_the_thread_that_ended() {
    let mut small = region(2 << 20);
    let copied = copy_beside(&mut small, SALT, |copier| copy_many(copier).map(drop));
    let error = copied.unwrap_err().to_string();
    assert!(error.contains("the rewritten segment is full"), "{error}");
}

#[test]
fn an_error_of_the_copying_is_returned_and_the_thread_ends() {
    let mut region = region(LEN);
    let copied = copy_beside(&mut region, SALT, |copier| {
        copy_many(copier)?;
        Err(Error::new(ErrorKind::Corrupt, "cannot be read"))
    });
    assert_eq!(copied.unwrap_err().kind(), ErrorKind::Corrupt);
}
