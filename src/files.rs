//! Files of folders that others may write too: nothing there may make us wait, fill the memory, or
//! lead us elsewhere.

use std::fs::{self, File, OpenOptions, Permissions};
use std::io::{self, Write};
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;
use std::sync::atomic::{AtomicU32, Ordering};

/// Opens a file for reading. A pipe or a device, which could keep us waiting or never end, is
/// refused.
///
/// # Errors
/// What the system says; or that it is no regular file.
pub fn open(path: &Path) -> io::Result<File> {
    // Looked at before it is opened, since opening a pipe waits for its other end.
    ensure_regular(&fs::metadata(path)?)?;
    File::open(path)
}

/// The same for a file of a folder in which others write: a symbolic link is not followed, since it
/// may lead to what whoever made it may not read.
///
/// # Errors
/// What the system says; or that it is no regular file.
pub fn open_no_follow(path: &Path) -> io::Result<File> {
    let file = open_no_follow_with(OpenOptions::new().read(true), path)?;
    ensure_regular(&file.metadata()?)?;
    Ok(file)
}

/// Opens what stands at a path itself, and does not wait for the other end of a pipe.
fn open_no_follow_with(options: &mut OpenOptions, path: &Path) -> io::Result<File> {
    let opened = options
        .custom_flags(libc::O_NOFOLLOW | libc::O_NONBLOCK)
        .open(path);
    opened.map_err(|error| match error.raw_os_error() {
        Some(libc::ELOOP) => io::Error::other("it is a symbolic link, which is not followed"),
        _ => error,
    })
}

/// Opens a file that is only there to be locked, and makes it for its owner alone: whoever can open
/// it can hold it. Its content is never touched.
///
/// # Errors
/// What the system says; or that a link, a pipe or a device stands there.
pub fn open_lock(path: &Path) -> io::Result<File> {
    let file = open_no_follow_with(
        OpenOptions::new()
            .write(true)
            .create(true)
            .truncate(false)
            .mode(OWNER),
        path,
    )?;

    let metadata = file.metadata()?;
    ensure_regular(&metadata)?;
    if metadata.permissions().mode() & 0o077 != 0 {
        // An earlier version made it for everybody. That of another user cannot be changed, and
        // serves as it is.
        drop(file.set_permissions(Permissions::from_mode(OWNER)));
    }

    Ok(file)
}

/// Read and written by the owner alone.
const OWNER: u32 = 0o600;

fn ensure_regular(metadata: &fs::Metadata) -> io::Result<()> {
    if metadata.is_file() {
        Ok(())
    } else {
        Err(io::Error::other("it is no regular file"))
    }
}

/// What a name of ours ends with while the file is not whole yet.
pub const UNFINISHED: &str = ".cortex-misp.tmp";

/// Writes a file so that it is there whole or not at all: under a name of its own, then renamed.
/// The folder must exist.
///
/// # Errors
/// What the system says.
pub fn write_atomically(folder: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let temporary = folder.join(format!(".{name}.{}{UNFINISHED}", std::process::id()));
    // What stands there is left from a run that died, or a trap: it is taken away, never written
    // through.
    drop(fs::remove_file(&temporary));

    let written = File::create_new(&temporary)
        .and_then(|mut file| file.write_all(bytes))
        .and_then(|()| fs::rename(&temporary, folder.join(name)));
    if written.is_err() {
        drop(fs::remove_file(&temporary));
    }

    written
}

/// Makes a file and takes it away again, to see that files can be made there; and opens the one to
/// be locked, if it is there.
///
/// # Errors
/// What the system says.
pub fn try_writing(folder: &Path, name: &str, lock: &str) -> io::Result<()> {
    // Two connections may name one folder, and are looked at together.
    static TRIALS: AtomicU32 = AtomicU32::new(0);
    let number = TRIALS.fetch_add(1, Ordering::Relaxed);
    let trial = folder.join(format!(
        ".{name}.{}.{number}{UNFINISHED}",
        std::process::id()
    ));
    drop(fs::remove_file(&trial));
    File::create_new(&trial)?;
    match fs::remove_file(&trial) {
        // A run that began meanwhile takes it for what a dead one left.
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let lock = folder.join(lock);
    let unlocked = |error| io::Error::other(format!("{}: {error}", lock.display()));

    if fs::symlink_metadata(&lock).is_ok() {
        open_lock(&lock).map(drop).map_err(unlocked)
    } else {
        Ok(())
    }
}

/// Takes away what runs that died have left. Only under a lock that keeps others from writing.
///
/// # Errors
/// What the system says.
pub fn clear_unfinished(folder: &Path) -> io::Result<()> {
    for entry in fs::read_dir(folder)? {
        let entry = entry?;
        let is_ours = entry
            .file_name()
            .to_str()
            .is_some_and(|name| name.starts_with('.') && name.ends_with(UNFINISHED));
        if is_ours && !entry.file_type()?.is_dir() {
            fs::remove_file(entry.path())?;
        }
    }

    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    #[test]
    fn what_is_no_file_is_refused() {
        assert!(open(Path::new("/dev/zero")).is_err() && open(Path::new("/")).is_err());
    }

    #[test]
    fn links_lead_to_no_other_file() {
        let folder = tempfile::tempdir().unwrap();
        let victim = folder.path().join("victim");
        fs::write(&victim, "precious").unwrap();
        symlink(&victim, folder.path().join("lock")).unwrap();
        assert!(open_lock(&folder.path().join("lock")).is_err());
        let error = open_no_follow(&folder.path().join("lock")).unwrap_err();
        assert!(error.to_string().contains("symbolic link"), "{error}");

        symlink(
            &victim,
            folder
                .path()
                .join(format!(".name.{}{UNFINISHED}", std::process::id())),
        )
        .unwrap();

        write_atomically(folder.path(), "name", b"new").unwrap();
        assert_eq!(fs::read_to_string(&victim).unwrap(), "precious");
        assert_eq!(
            fs::read_to_string(folder.path().join("name")).unwrap(),
            "new"
        );
    }

    #[test]
    fn a_lock_is_its_owners_alone_also_where_it_was_not() {
        let folder = tempfile::tempdir().unwrap();

        let mode = |name: &str| {
            drop(open_lock(&folder.path().join(name)).unwrap());
            fs::metadata(folder.path().join(name))
                .unwrap()
                .permissions()
                .mode()
                & 0o777
        };

        fs::write(folder.path().join("old"), "").unwrap();
        fs::set_permissions(folder.path().join("old"), Permissions::from_mode(0o666)).unwrap();
        assert_eq!([mode("new"), mode("old")], [0o600; 2]);
    }

    #[test]
    fn what_a_dead_run_left_is_cleared_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        for name in [".a.json.7.cortex-misp.tmp", ".b.tmp", "c.cortex-misp.tmp"] {
            fs::write(folder.path().join(name), "").unwrap();
        }
        clear_unfinished(folder.path()).unwrap();
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 2);
    }
}
