//! Pure: which field of a node is which register.

use bytes::Bytes;

use super::Registers;
use crate::journal::entry::RegisterId;
use crate::journal::op::{Content, FileTime, Owner};
use crate::sync::conflict::LostValue;
use crate::sync::node::{DirWrite, LinkPlace, Node};
use crate::sync::register::Register;

impl Registers<Content> for Node {
    fn register_mut(&mut self, _id: &RegisterId) -> &mut Register<Content> {
        &mut self.content
    }

    fn lost(_id: &RegisterId, value: &Content) -> LostValue {
        LostValue::Content(value.clone())
    }
}

impl Registers<u32> for Node {
    fn register_mut(&mut self, id: &RegisterId) -> &mut Register<u32> {
        if *id == RegisterId::Flags {
            &mut self.flags
        } else {
            &mut self.mode
        }
    }

    fn lost(id: &RegisterId, value: &u32) -> LostValue {
        if *id == RegisterId::Flags {
            LostValue::Flags(*value)
        } else {
            LostValue::Mode(*value)
        }
    }
}

impl Registers<Owner> for Node {
    fn register_mut(&mut self, _id: &RegisterId) -> &mut Register<Owner> {
        &mut self.owner
    }

    fn lost(_id: &RegisterId, value: &Owner) -> LostValue {
        LostValue::Owner(*value)
    }
}

impl Registers<FileTime> for Node {
    fn register_mut(&mut self, _id: &RegisterId) -> &mut Register<FileTime> {
        &mut self.times
    }

    fn lost(_id: &RegisterId, value: &FileTime) -> LostValue {
        LostValue::Times(*value)
    }
}

impl Registers<Option<Bytes>> for Node {
    fn register_mut(&mut self, id: &RegisterId) -> &mut Register<Option<Bytes>> {
        let name = if let RegisterId::Xattr(name) = id {
            name.clone()
        } else {
            Bytes::new()
        };
        self.xattrs.entry(name).or_default()
    }

    fn lost(_id: &RegisterId, value: &Option<Bytes>) -> LostValue {
        LostValue::Xattr(value.clone())
    }
}

impl Registers<LinkPlace> for Node {
    fn register_mut(&mut self, id: &RegisterId) -> &mut Register<LinkPlace> {
        let link = if let RegisterId::LinkPlace(link) = id {
            *link
        } else {
            0
        };
        self.links.entry(link).or_default()
    }

    fn lost(_id: &RegisterId, value: &LinkPlace) -> LostValue {
        LostValue::Place {
            live: value.live,
            place: Some(value.place.clone()),
        }
    }
}

impl Registers<DirWrite> for Node {
    fn register_mut(&mut self, _id: &RegisterId) -> &mut Register<DirWrite> {
        &mut self.dir_mut().register
    }

    fn lost(_id: &RegisterId, value: &DirWrite) -> LostValue {
        LostValue::Place {
            live: value.live,
            place: value.place.clone(),
        }
    }
}
