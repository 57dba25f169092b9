//! Which mounts there are and which of them are worth a look, from `/proc/self/mountinfo`
//! (proc_pid_mountinfo(5)).
//!
//! A mount covered by a later one at the same place is not seen. Of several mounts of one file system (bind
//! mounts, subvolumes) one stands for all: that of its root, then the shortest path.

use std::collections::BTreeMap;

use crate::engine::option::{Globs, Options, glob_matches};

/// A mount.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Mount {
    /// Where.
    pub mount: String,
    /// Type of the file system.
    pub fstype: String,
    /// What is mounted, as the kernel names it.
    pub device: String,
    /// The superblock is read-only.
    pub readonly: bool,
    /// Which file system: `major:minor`.
    id: String,
    /// The folder of the file system that is mounted is its root.
    root: bool,
}

/// Which mounts are wanted.
pub(super) struct Wanted {
    include: Vec<String>,
    exclude: Vec<String>,
    fstypes: Globs,
}

impl Wanted {
    /// As the options say.
    pub fn new(options: &Options) -> Self {
        let list = |key: &str| options.list(key).to_vec();
        Self { include: list("include"), exclude: list("exclude"), fstypes: Globs(list("fstypes")) }
    }

    fn accepts(&self, mount: &Mount) -> bool {
        let any = |globs: &[String]| globs.iter().any(|g| glob_matches(g, &mount.mount));
        let included = self.include.is_empty() || any(&self.include);
        included && !any(&self.exclude) && self.fstypes.accepts(&mount.fstype)
    }
}

/// The wanted mounts in the order of their paths.
pub(super) fn select(mountinfo: &str, wanted: &Wanted) -> Vec<Mount> {
    let mut by_path = BTreeMap::new();
    for mount in mountinfo.lines().filter_map(parse) {
        by_path.insert(mount.mount.clone(), mount);
    }
    let mut by_id: BTreeMap<String, Mount> = BTreeMap::new();
    for mount in by_path.into_values().filter(|m| wanted.accepts(m)) {
        let rank = |m: &Mount| (!m.root, m.mount.len());
        match by_id.get(&mount.id) {
            Some(other) if rank(other) <= rank(&mount) => {}
            _ => drop(by_id.insert(mount.id.clone(), mount)),
        }
    }
    let mut mounts: Vec<_> = by_id.into_values().collect();
    mounts.sort_by(|a, b| a.mount.cmp(&b.mount));
    mounts
}

/// `36 35 98:0 /root /mount rw,noatime shared:1 - ext4 /dev/sda1 rw,errors=continue`; any number of fields
/// before the dash.
fn parse(line: &str) -> Option<Mount> {
    let (head, tail) = line.split_once(" - ")?;
    let mut head = head.split(' ').skip(2);
    let (id, root, mount) = (head.next()?, head.next()?, head.next()?);
    let mut tail = tail.split(' ');
    let (fstype, device) = (tail.next()?, tail.next()?);
    let options = tail.next().unwrap_or_default();
    Some(Mount {
        mount: unescape(mount),
        fstype: unescape(fstype),
        device: unescape(device),
        readonly: options.split(',').any(|o| o == "ro"),
        id: id.to_owned(),
        root: root == "/",
    })
}

/// Space, tab, line end and backslash stand as three octal digits after a backslash.
fn unescape(text: &str) -> String {
    let mut parts = text.split('\\');
    let mut plain = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let code = part.get(..3).and_then(|digits| u8::from_str_radix(digits, 8).ok()).filter(u8::is_ascii);
        match code {
            Some(code) => {
                plain.push(char::from(code));
                plain.push_str(&part[3..]);
            }
            None => {
                plain.push('\\');
                plain.push_str(part);
            }
        }
    }
    plain
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::collect::fs::SPEC;
    use crate::collect::tests::options;
    use crate::engine::option::OptionValue;

    const TEXT: &str = r"22 27 0:21 / /proc rw,relatime - proc proc rw
25 24 0:23 / /dev/shm rw,relatime - tmpfs tmpfs rw,size=24684096k
27 1 254:0 / / rw,relatime shared:1 - ext4 /dev/vda rw,discard
40 27 254:0 /srv/data /mnt/bind rw,relatime shared:1 - ext4 /dev/vda rw,discard
41 27 254:16 / /data rw,relatime master:1 propagate_from:2 - xfs /dev/vdb ro,attr2
42 27 0:50 /@home /home rw - btrfs /dev/vdc rw,subvol=/@home
43 27 0:50 /@ /btrfs rw - btrfs /dev/vdc rw,subvol=/@
44 27 0:60 / /mnt/with\040space\134 rw - nfs4 10.0.0.1:/export rw,vers=4.2
45 27 7:1 / /snap/core/1 ro - squashfs /dev/loop1 ro
46 27 0:61 / /auto rw - autofs systemd-1 rw
47 27 0:62 / /data2 rw - ext4 /dev/sdx rw
48 47 0:63 / /data2 rw - ext4 /dev/sdy ro
49 27 0:70 / /run rw - tmpfs tmpfs rw
broken line
50 27 0:71 / /half rw -
";

    fn mounts(given: &[(&str, OptionValue)]) -> Vec<String> {
        let wanted = Wanted::new(&options(&SPEC.door, given));
        select(TEXT, &wanted).into_iter().map(|m| m.mount).collect()
    }

    #[test]
    fn pseudo_duplicate_and_covered_mounts_are_left_out() {
        assert_eq!(mounts(&[]), ["/", "/data", "/data2", "/home", "/mnt/with space\\"]);
    }

    #[test]
    fn include_exclude_and_fstypes_choose() {
        let list = |l: &[&str]| OptionValue::List(l.iter().map(|s| (*s).to_owned()).collect());
        assert_eq!(mounts(&[("include", list(&["/data*"]))]), ["/data", "/data2"]);
        assert_eq!(mounts(&[("exclude", list(&["/d*", "/mnt/*", "/run", "/"]))]), ["/home"]);
        assert_eq!(mounts(&[("fstypes", list(&["xfs", "nfs*"]))]), ["/data", "/mnt/with space\\"]);
    }

    #[test]
    fn labels_and_the_superblocks_state_are_read() {
        let wanted = Wanted::new(&options(&SPEC.door, &[]));
        let all = select(TEXT, &wanted);
        let of = |path: &str| all.iter().find(|m| m.mount == path).unwrap();
        let nfs = of("/mnt/with space\\");
        assert_eq!(
            (nfs.fstype.as_str(), nfs.device.as_str(), nfs.readonly),
            ("nfs4", "10.0.0.1:/export", false)
        );
        assert!(of("/data").readonly, "mounted rw, superblock ro");
        assert_eq!(of("/data2").device, "/dev/sdy", "the later mount covers the earlier");
    }

    #[test]
    fn odd_escapes_stay_as_they_are() {
        for (text, plain) in
            [(r"a\040b", "a b"), (r"a\", r"a\"), (r"a\9", r"a\9"), (r"a\7é9", r"a\7é9"), (r"\777", r"\777")]
        {
            assert_eq!(unescape(text), plain);
        }
    }
}
