//! Known answers, which fix the format; and files of keys.

use super::*;

/// Writes a file that only its owner can read.
fn write(path: &Path, bytes: impl AsRef<[u8]>) {
    let _gone = std::fs::remove_file(path);
    crate::storage::key_file::write_new(path, bytes.as_ref()).unwrap();
}

#[cfg(unix)]
#[test]
fn a_key_file_that_everybody_can_read_is_refused() {
    use std::os::unix::fs::PermissionsExt;
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("key");
    write(&path, [1; 32]);
    for (mode, is_refused) in [(0o600, false), (0o640, false), (0o644, true), (0o604, true)] {
        std::fs::set_permissions(&path, std::fs::Permissions::from_mode(mode)).unwrap();
        let read = EncryptionKey::from_file(&path);
        assert_eq!(read.is_err(), is_refused, "{mode:o}");
        if let Err(error) = read {
            assert_eq!(error.kind(), ErrorKind::Key);
            assert!(error.to_string().contains("chmod 600"), "{error}");
        }
    }
    // What is no plain file, such as a pipe of a shell, has no mode of that kind.
    let piped = EncryptionKey::from_file("/dev/null").unwrap_err();
    assert!(piped.to_string().contains("no key"), "{piped}");
}

#[test]
fn a_key_file_is_read_back_and_anything_else_is_refused() {
    let dir = tempfile::tempdir().unwrap();
    let path = |name: &str| dir.path().join(name);
    let key = EncryptionKey::generate().unwrap();
    key.write_new_file(path("key")).unwrap();
    assert_eq!(
        EncryptionKey::from_file(path("key")).unwrap().0.expose(),
        key.0.expose()
    );
    assert!(
        key.write_new_file(path("key")).is_err(),
        "a key is never overwritten"
    );
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = std::fs::metadata(path("key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
    let digits = "00".repeat(31) + "Af";
    let mut expected = [0; 32];
    expected[31] = 0xaf;
    for text in [
        digits.clone(),
        digits.clone() + "\n",
        digits.clone() + "\r\n",
    ] {
        write(&path("text"), text);
        assert_eq!(
            EncryptionKey::from_file(path("text")).unwrap().0.expose(),
            &expected
        );
    }
    write(&path("raw"), [10; 32]);
    assert_eq!(
        EncryptionKey::from_file(path("raw")).unwrap().0.expose(),
        &[10; 32]
    );
    for wrong in [
        "",
        "secret",
        &digits[1..],
        &(digits.clone() + " "),
        &digits.replace('A', "g"),
        &"0".repeat(9_000),
    ] {
        write(&path("wrong"), wrong);
        let error = EncryptionKey::from_file(path("wrong")).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Key);
        assert!(
            error.to_string().contains("64 hexadecimal digits"),
            "{error}"
        );
    }
    let absent = EncryptionKey::from_file(path("none")).unwrap_err();
    assert_eq!(absent.kind(), ErrorKind::NotFound);
    assert_eq!(format!("{key:?}"), "EncryptionKey(..)");
}

#[cfg(not(feature = "encryption"))]
#[test]
fn a_build_that_cannot_encrypt_says_so() {
    let key = EncryptionKey::from_bytes([1; 32]);
    let error = Access::with(Some(&key)).check().unwrap_err();
    assert!(error.to_string().contains("`encryption`"), "{error}");
    assert!(Access::with(None).check().is_ok());
}

#[cfg(feature = "encryption")]
mod ciphers {
    use super::super::data::DataKey;
    use super::*;
    use crate::clock::Timestamp;
    use crate::event::EventId;
    use crate::format::frame::{self, Kind, Place, Stamp};
    use crate::format::key_slot::WrappedKey;
    use crate::format::record::Record;
    use crate::format::sealed::{self, Opened, Sealed};
    use crate::position::Seq;

    fn user() -> EncryptionKey {
        EncryptionKey::from_bytes([0x11; 32])
    }

    fn data() -> DataKey {
        DataKey::of([0x22; 16], [0x33; 32], Seq(8))
    }

    fn hex(bytes: &[u8]) -> String {
        bytes
            .iter()
            .fold(String::new(), |text, byte| text + &format!("{byte:02x}"))
    }

    #[test]
    fn a_wrapped_key_is_known_and_only_its_key_opens_it() {
        let wrapped = data().wrap_under(&user(), [0x44; 12]).unwrap();
        assert_eq!(hex(&wrapped.wrapped), WRAPPED);
        assert_eq!(hex(&wrapped.tag), WRAPPED_TAG);
        let opened = DataKey::unwrap(&wrapped, &user()).unwrap().unwrap();
        assert_eq!(opened.wrap_under(&user(), [0x44; 12]).unwrap(), wrapped);
        let other = EncryptionKey::from_bytes([0x12; 32]);
        assert!(DataKey::unwrap(&wrapped, &other).unwrap().is_none());
        let mut renamed = wrapped;
        renamed.key_id[3] ^= 1;
        assert!(DataKey::unwrap(&renamed, &user()).unwrap().is_none());
        assert_eq!(opened.sealed_from(), Seq(8));
        assert!(opened.allows_plain(Seq(7)) && !opened.allows_plain(Seq(8)));
        let later = WrappedKey {
            sealed_from: Seq(9),
            ..wrapped
        };
        assert!(DataKey::unwrap(&later, &user()).unwrap().is_none());
    }

    #[test]
    fn a_sealed_frame_is_known_and_opens() {
        let record = Record::new("order.placed", "web", Timestamp(5), b"\x01").unwrap();
        let stamp = Stamp {
            kind: Kind::Event,
            flags: 1,
            seq: Seq(7),
            event_id: EventId(9),
            appended_at: Timestamp(6),
            durable_upto: Seq(3),
            batch_place: 0,
            batch_count: 1,
        };
        let place = Place {
            salt: 1,
            offset: 4096,
        };
        let mut bytes = vec![0; frame::padded(record.sealed_len())];
        let sealer = data().sealer_under([0x55; 16]).unwrap();
        sealed::encode(&mut bytes, &record, stamp, place, &sealer);
        let frame = frame::decode(&bytes, place).unwrap();
        assert_eq!(hex(&frame.bytes[frame::HEADER_LEN..]), SEALED);
        let mut opened = Opened::default();
        let found = Sealed::of(frame.bytes).unwrap();
        assert!(data().open(found, &mut opened));
        let event = opened.event();
        assert_eq!(
            (event.event_type(), event.source()),
            ("order.placed", "web")
        );
        assert_eq!(
            (event.seq(), event.data_bytes()),
            (Seq(7), b"\x01".as_slice())
        );
        assert!(event.awaits_sync());
        assert_eq!(event.frame().len(), record.frame_len());
        assert!(!DataKey::of([0x22; 16], [0x34; 32], Seq(8)).open(found, &mut opened));
    }

    #[test]
    fn many_salts_are_read_in_any_order() {
        let key = data();
        let record = Record::new("a", "b", Timestamp(5), b"\x01").unwrap();
        let stamp = Stamp {
            kind: Kind::Event,
            flags: 0,
            seq: Seq(1),
            event_id: EventId(9),
            appended_at: Timestamp(6),
            durable_upto: Seq(0),
            batch_place: 0,
            batch_count: 1,
        };
        let place = Place { salt: 1, offset: 0 };
        let frames: Vec<Vec<u8>> = (0..30)
            .map(|_| {
                let mut bytes = vec![0; record.sealed_len().next_multiple_of(8)];
                sealed::encode(&mut bytes, &record, stamp, place, &key.sealer().unwrap());
                bytes.truncate(record.sealed_len());
                bytes
            })
            .collect();
        let mut opened = Opened::default();
        for at in (0..30).chain((0..30).rev()).chain([0, 0, 29, 0, 5, 29]) {
            assert!(
                key.open(Sealed::of(&frames[at]).unwrap(), &mut opened),
                "{at}"
            );
        }
        assert_ne!(frames[0][64..], frames[1][64..]);
    }

    #[test]
    fn bytes_that_stand_alone_are_bound_to_what_they_are_for() {
        let sealed = data().seal_bytes("purpose", b"place", b"state").unwrap();
        assert_eq!(sealed.len(), 5 + 32);
        let open = |purpose, place: &[u8], bytes: &[u8]| data().open_bytes(purpose, place, bytes);
        assert_eq!(open("purpose", b"place", &sealed).unwrap(), b"state");
        assert_eq!(open("purposf", b"place", &sealed), None);
        assert_eq!(open("purpose", b"plac", &sealed), None);
        for at in 0..sealed.len() {
            let mut flipped = sealed.clone();
            flipped[at] ^= 0x80;
            assert_eq!(open("purpose", b"place", &flipped), None, "byte {at}");
        }
        assert_eq!(open("purpose", b"place", &sealed[..31]), None);
        assert_ne!(
            data().seal_bytes("purpose", b"place", b"state").unwrap(),
            sealed
        );
    }

    // Reckoned apart from this code, with another implementation of HKDF and of AES-GCM.
    const WRAPPED: &str = "aa22ea45e8830f6d265ad5ccf5e80ca5508230b067c7a3452da15c2cf0d88f0c";
    const WRAPPED_TAG: &str = "1adb03dde9b06268041029602f3f1f21";
    const SEALED: &str = "555555555555555555555555555555553d72308301302826e9c09940f6aef4f68b4dd5a42c69b87cd9a8ed86b1a29c6a";
}
