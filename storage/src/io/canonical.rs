//! Paths of directories without links, for names that are made from them.

use std::ffi::OsString;
use std::fs;
use std::io;
use std::path::{Component, Path, PathBuf};

/// Most links that are followed on the way to a directory, as many as the kernel follows.
const LINKS_MAX: usize = 40;

/// The whole path of a directory, without links, `.` and `..`, which need not be there: between two renames it is not, and a link
/// leads to it all the same. Paths are looked at on this machine; like the lock of a directory, they are no data.
///
/// # Errors
/// The directory of the process has gone, or links lead in a circle. A part of the path that cannot be looked at is taken as it
/// stands: what opens it says why.
pub fn canonical(path: &Path) -> io::Result<PathBuf> {
    let names_of = |path: &Path| -> Vec<OsString> {
        path.components().rev().map(|part| part.as_os_str().to_owned()).collect()
    };
    // The next name is the last.
    let mut waiting = names_of(&std::path::absolute(path)?);
    let (mut whole, mut links) = (PathBuf::new(), 0);
    while let Some(name) = waiting.pop() {
        match Path::new(&name).components().next() {
            None | Some(Component::CurDir) => continue,
            Some(Component::ParentDir) => {
                whole.pop();
                continue;
            }
            _ => whole.push(name),
        }
        if let Ok(target) = fs::read_link(&whole) {
            links += 1;
            if links > LINKS_MAX {
                return Err(io::Error::other(format!(
                    "more than {LINKS_MAX} links: do they lead in a circle?"
                )));
            }
            whole.pop();
            waiting.extend(names_of(&target));
        }
    }
    Ok(whole)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::migration::journal;

    #[test]
    fn every_way_to_write_a_path_leads_to_the_same_names() {
        use std::os::unix::fs::symlink;
        let around = std::env::temp_dir().join(format!("moon-canonical-{}", std::process::id()));
        let _ = fs::remove_dir_all(&around);
        let around = canonical(&around).expect("a path");
        let real = around.join("disk/moon");
        fs::create_dir_all(&real).expect("a directory");
        fs::create_dir(around.join("etc")).expect("a directory");
        symlink("../disk", around.join("etc/srv")).expect("a relative link to the parent");
        symlink(&real, around.join("link")).expect("a link");
        symlink("link", around.join("twice")).expect("a link to a link");
        symlink("round", around.join("round")).expect("a link to itself");
        // There, and between two renames.
        for is_there in [true, false] {
            if !is_there {
                fs::remove_dir(&real).expect("removed");
            }
            for way in [
                "disk/moon",
                "disk/moon/",
                "disk/./moon/.",
                "disk/no/../moon",
                "link",
                "link/",
                "twice",
            ] {
                let found = canonical(&around.join(way)).expect("a path");
                assert_eq!(found, real, "{way}, {is_there}");
                assert_eq!(journal(&found), around.join("disk/moon.moon.migrate.journal"));
            }
            assert_eq!(canonical(&around.join("etc/srv/moon")).expect("a path"), real);
            // By way of the link, not of its name.
            assert_eq!(canonical(&around.join("etc/srv/../x")).expect("a path"), around.join("x"));
        }
        let here = std::env::current_dir().and_then(|dir| dir.canonicalize()).expect("a directory");
        for (way, whole) in
            [(".", here.clone()), ("./", here.clone()), ("no/such", here.join("no/such"))]
        {
            assert_eq!(canonical(Path::new(way)).expect("a path"), whole, "{way}");
        }
        assert_eq!(canonical(Path::new("/..")).expect("a path"), Path::new("/"));
        assert!(canonical(&around.join("round")).is_err());
        fs::remove_dir_all(&around).expect("removed");
    }
}
