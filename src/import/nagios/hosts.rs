//! Which hosts a service is on: by name, by pattern, by group and by groups of groups.
//!
//! Groups are put together once. A host that no file defines keeps its name and has no address.

use std::collections::{BTreeMap, BTreeSet};

use super::command::Target;
use super::objects::{Object, Site};
use crate::engine::plan::glob_matches;

/// The hosts of a site and their groups.
pub struct Hosts<'s> {
    known: BTreeMap<&'s str, &'s Object>,
    groups: BTreeMap<&'s str, Vec<&'s str>>,
}

/// What a group says itself: its hosts, and groups that are in it.
type Direct<'s> = BTreeMap<&'s str, (Vec<&'s str>, Vec<&'s str>)>;

impl<'s> Hosts<'s> {
    /// Those of a site.
    pub fn of(site: &'s Site) -> Self {
        let of_kind =
            |kind: &'static str| site.objects.iter().filter(move |o| o.kind == kind && !o.is_template());
        let mut direct: Direct<'s> = BTreeMap::new();
        let mut known = BTreeMap::new();
        for host in of_kind("host").filter(|h| !h.get("host_name").is_empty()) {
            let name = host.get("host_name");
            known.entry(name).or_insert(host);
            for group in host.list("hostgroups") {
                direct.entry(group).or_default().0.push(name);
            }
        }
        for group in of_kind("hostgroup") {
            let (hosts, groups) = direct.entry(group.get("hostgroup_name")).or_default();
            hosts.extend(group.list("members"));
            groups.extend(group.list("hostgroup_members"));
        }
        let mut all = Self { known, groups: BTreeMap::new() };
        let names: Vec<&str> = direct.keys().copied().collect();
        for name in names {
            let mut listed = Vec::new();
            gather(&direct, name, &mut BTreeSet::new(), &mut listed);
            let members = picked(&listed, all.known.keys().copied());
            all.groups.insert(name, members);
        }
        all
    }

    /// The hosts of a service; `?` when it names none.
    pub fn of_service(&self, service: &'s Object) -> Vec<&'s str> {
        let mut hosts = picked(&service.list("host_name"), self.known.keys().copied());
        let wanted = service.list("hostgroup_name");
        let groups = picked(&wanted, self.groups.keys().copied());
        let members = |groups: Vec<&str>| -> Vec<&'s str> {
            groups.iter().filter_map(|g| self.groups.get(g)).flatten().copied().collect()
        };
        hosts.extend(members(groups));
        let out = members(wanted.iter().filter_map(|g| g.strip_prefix('!')).collect());
        let named_out: BTreeSet<&str> =
            service.list("host_name").iter().filter_map(|h| h.strip_prefix('!')).chain(out).collect();
        let mut seen = BTreeSet::new();
        hosts.retain(|h| !named_out.contains(h) && seen.insert(*h));
        if hosts.is_empty() { vec!["?"] } else { hosts }
    }

    /// What macros of a service on a host stand for; a host that is not defined has no address.
    pub fn target(&self, service: &Object, host: &str) -> Target {
        let object = self.known.get(host).copied();
        let mut custom = BTreeMap::new();
        for (prefix, object) in [("_HOST", object), ("_SERVICE", Some(service))] {
            for (key, (value, _)) in object.into_iter().flat_map(|o| &o.entries) {
                if let Some(name) = key.strip_prefix('_') {
                    custom.insert(format!("{prefix}{}", name.to_ascii_uppercase()), value.clone());
                }
            }
        }
        let address = match object.map(|o| o.get("address")) {
            Some("") => host,
            Some(address) => address,
            None => "",
        };
        Target { host: host.to_owned(), address: address.to_owned(), custom, ..Target::default() }
    }
}

/// What a group and all groups in it list; a circle ends where it began.
fn gather<'s>(direct: &Direct<'s>, group: &'s str, seen: &mut BTreeSet<&'s str>, listed: &mut Vec<&'s str>) {
    let Some((hosts, groups)) = direct.get(group).filter(|_| seen.insert(group)) else { return };
    listed.extend(hosts);
    for inner in groups {
        gather(direct, inner, seen, listed);
    }
}

/// The names that a list means: as written, by `*` of those that are known, without what `!` takes out.
fn picked<'s>(list: &[&'s str], known: impl Iterator<Item = &'s str> + Clone) -> Vec<&'s str> {
    let mut all: Vec<&str> = Vec::new();
    for name in list.iter().filter(|n| !n.starts_with('!')) {
        if name.contains(['*', '?']) {
            all.extend(known.clone().filter(|k| glob_matches(name, k)));
        } else {
            all.push(name);
        }
    }
    let is_out =
        |name: &str| list.iter().any(|n| n.strip_prefix('!').is_some_and(|out| glob_matches(out, name)));
    all.retain(|name| !is_out(name));
    all
}

#[cfg(test)]
mod tests {
    use super::*;

    fn object(kind: &str, entries: &[(&str, &str)]) -> Object {
        let entries = entries.iter().map(|(k, v)| ((*k).to_owned(), ((*v).to_owned(), 1))).collect();
        Object { kind: kind.to_owned(), entries, ..Object::default() }
    }

    #[test]
    fn services_are_on_hosts_by_name_pattern_and_group() {
        let objects = vec![
            object("host", &[("host_name", "web1"), ("address", "192.0.2.1"), ("hostgroups", "webs")]),
            object("host", &[("host_name", "web2"), ("hostgroups", "webs, spare")]),
            object("host", &[("host_name", "db1")]),
            object("host", &[("name", "template"), ("register", "0")]),
            object("hostgroup", &[("hostgroup_name", "webs")]),
            object("hostgroup", &[("hostgroup_name", "dbs"), ("members", "db1")]),
            object("hostgroup", &[("hostgroup_name", "all"), ("hostgroup_members", "webs,dbs,all")]),
            object("hostgroup", &[("hostgroup_name", "any"), ("members", "*,!web1")]),
        ];
        let site = Site { objects, ..Site::default() };
        let hosts = Hosts::of(&site);
        for (entries, found) in [
            (&[("host_name", "web1, elsewhere")][..], "web1 elsewhere"),
            (&[("host_name", "*")], "db1 web1 web2"),
            (&[("host_name", "*,!web1")], "db1 web2"),
            (&[("host_name", "web*")], "web1 web2"),
            (&[("hostgroup_name", "all")], "web1 web2 db1"),
            (&[("hostgroup_name", "any")], "db1 web2"),
            (&[("hostgroup_name", "webs,!spare")], "web1"),
            (&[("hostgroup_name", "webs"), ("host_name", "!web2")], "web1"),
            (&[("hostgroup_name", "webs"), ("host_name", "web2,db1")], "web2 db1 web1"),
            (&[("hostgroup_name", "none")], "?"),
            (&[], "?"),
        ] {
            let service = object("service", entries);
            assert_eq!(hosts.of_service(&service).join(" "), found, "{entries:?}");
        }
        let service = object("service", &[]);
        for (host, address) in [("web1", "192.0.2.1"), ("web2", "web2"), ("elsewhere", ""), ("?", "")] {
            assert_eq!(hosts.target(&service, host).address, address, "{host}");
        }
    }
}
