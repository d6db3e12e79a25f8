//! The bones of the view: what is there although no capability covers it, so that what is covered
//! can be reached and the cell has places to mount on.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::ffi::OsString;
use std::path::{Path, PathBuf};

use crate::config::{SkeletonEntry, SkeletonKind};

/// What stands at a path of the skeleton.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Bone {
    /// Asked for when the view was made: there whatever the host has.
    Fixed(SkeletonKind),
    /// On the way to something granted: there if the host has it.
    Ancestor,
}

#[derive(Debug, Default)]
struct Place {
    bone: Option<Bone>,
    /// Names in this directory that are on the skeleton or are granted themselves.
    children: BTreeSet<OsString>,
}

/// The skeleton of a view.
#[derive(Debug, Default)]
pub(crate) struct Skeleton {
    fixed: Vec<SkeletonEntry>,
    /// Granted paths, with how often each was granted.
    granted: BTreeMap<PathBuf, usize>,
    places: HashMap<PathBuf, Place>,
}

impl Skeleton {
    pub(crate) fn new(fixed: Vec<SkeletonEntry>) -> Self {
        let mut skeleton = Self {
            fixed,
            ..Self::default()
        };
        skeleton.rebuild();
        skeleton
    }

    pub(crate) fn bone(&self, path: &Path) -> Option<Bone> {
        self.places.get(path)?.bone.clone()
    }

    /// Whether `path` is something granted, or lies below it. What is on the way to a grant and in another one too is
    /// decided on like anything else in there; that it leads on is what remains where that is refused.
    pub(crate) fn is_within_grant(&self, path: &Path) -> bool {
        path.ancestors()
            .any(|above| self.granted.contains_key(above))
    }

    /// Names in the directory `path` that are there besides what can be listed.
    pub(crate) fn children(&self, path: &Path) -> Vec<OsString> {
        self.places
            .get(path)
            .map(|place| place.children.iter().cloned().collect())
            .unwrap_or_default()
    }

    /// Something at `path` is granted: the way there is to be seen.
    pub(crate) fn grant(&mut self, path: &Path) {
        let count = self.granted.entry(path.to_path_buf()).or_default();
        *count = count.saturating_add(1);
        self.place_granted(path);
    }

    /// What was granted at `path` once is granted no more.
    pub(crate) fn revoke(&mut self, path: &Path) {
        match self.granted.get_mut(path) {
            Some(count) if *count > 1 => *count = count.saturating_sub(1),
            Some(_) => {
                self.granted.remove(path);
                self.rebuild();
            }
            None => {}
        }
    }

    fn rebuild(&mut self) {
        self.places.clear();
        self.places.entry(PathBuf::from("/")).or_default().bone =
            Some(Bone::Fixed(SkeletonKind::Directory));
        for entry in self.fixed.clone() {
            self.place(
                &entry.path,
                Bone::Fixed(entry.kind),
                &Bone::Fixed(SkeletonKind::Directory),
            );
        }
        for path in self.granted.keys().cloned().collect::<Vec<_>>() {
            self.place_granted(&path);
        }
    }

    fn place_granted(&mut self, path: &Path) {
        if let (Some(parent), Some(name)) = (path.parent(), path.file_name()) {
            self.place(parent, Bone::Ancestor, &Bone::Ancestor);
            self.places
                .entry(parent.to_path_buf())
                .or_default()
                .children
                .insert(name.to_owned());
        }
    }

    /// Puts `bone` at `path`, and `above` wherever nothing stands on the way there.
    fn place(&mut self, path: &Path, bone: Bone, above: &Bone) {
        let place = self.places.entry(path.to_path_buf()).or_default();
        let fixed = matches!(place.bone, Some(Bone::Fixed(_)));
        if !fixed {
            place.bone = Some(bone);
        }
        let mut at = path;
        while let (Some(parent), Some(name)) = (at.parent(), at.file_name()) {
            let place = self.places.entry(parent.to_path_buf()).or_default();
            if place.bone.is_none()
                || (place.bone == Some(Bone::Ancestor) && above != &Bone::Ancestor)
            {
                place.bone = Some(above.clone());
            }
            place.children.insert(name.to_owned());
            at = parent;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_way_to_a_grant_comes_and_goes() {
        let mut skeleton = Skeleton::new(vec![SkeletonEntry {
            path: PathBuf::from("/run/valetkey"),
            kind: SkeletonKind::Directory,
        }]);
        let reports = Path::new("/home/alice/Reports");
        skeleton.grant(reports);
        skeleton.grant(reports);
        assert_eq!(
            skeleton.bone(Path::new("/home/alice")),
            Some(Bone::Ancestor)
        );
        assert_eq!(skeleton.bone(reports), None);
        assert_eq!(skeleton.children(Path::new("/home/alice")), ["Reports"]);
        assert_eq!(skeleton.children(Path::new("/")), ["home", "run"]);
        assert!(skeleton.is_within_grant(&reports.join("a/b")));
        assert!(!skeleton.is_within_grant(Path::new("/home/alice")));
        skeleton.revoke(reports);
        assert_eq!(
            skeleton.bone(Path::new("/home/alice")),
            Some(Bone::Ancestor)
        );
        skeleton.revoke(reports);
        assert_eq!(skeleton.bone(Path::new("/home")), None);
        assert_eq!(skeleton.children(Path::new("/")), ["run"]);
        assert_eq!(
            skeleton.bone(Path::new("/run")),
            Some(Bone::Fixed(SkeletonKind::Directory))
        );
    }

    #[test]
    fn what_is_fixed_stays_fixed() {
        let path = PathBuf::from("/bin");
        let kind = SkeletonKind::Symlink(PathBuf::from("usr/bin"));
        let mut skeleton = Skeleton::new(vec![SkeletonEntry {
            path: path.clone(),
            kind: kind.clone(),
        }]);
        skeleton.grant(Path::new("/bin/sh"));
        assert_eq!(skeleton.bone(&path), Some(Bone::Fixed(kind)));
    }
}
