//! Single expressions and tests: what they become, or why they do not.

use super::*;

/// `on: raise` of every rule that an expression becomes, or the reasons why there is none.
fn alert(expr: &str) -> String {
    let indented = expr.replace('\n', "\n        ");
    let text = format!("groups:\n- rules:\n  - alert: A\n    expr: |\n        {indented}\n");
    shown(&of_text(Product::Prometheus, &text))
}

fn shown(made: &Imported) -> String {
    loaded(&made.toml);
    let mut all = Vec::new();
    for item in &made.items {
        for rule in &item.rules {
            let globs: Vec<_> = rule.matches.iter().map(|(l, g)| format!("{l}={}", g.join(" "))).collect();
            let matches = if globs.is_empty() { String::new() } else { format!("{{{}}}", globs.join(",")) };
            let off = if rule.enabled { "" } else { " OFF" };
            let steps: Vec<_> = rule.steps.iter().map(|s| s.raise.to_string()).collect();
            all.push(format!("{}{matches}: {}{off}", rule.class.name(), steps.join(" | ")));
        }
        all.extend(item.losses.iter().map(|l| format!("! {}", l.why)));
    }
    all.join("\n")
}

#[test]
fn expressions_become_conditions() {
    for (expr, ours) in [
        ("node_filesystem_avail_bytes < 0.1 * node_filesystem_size_bytes", "fs: fs.avail < 10% * fs.size"),
        ("node_filesystem_avail_bytes / 1024^3 < 5", "fs: fs.avail < 5GiB"),
        (
            "(node_filesystem_size_bytes - node_filesystem_avail_bytes) / node_filesystem_size_bytes * 100 >= 90",
            "fs: (fs.size - fs.avail) / fs.size >= 90%",
        ),
        (
            "(node_filesystem_files - node_filesystem_files_free) / node_filesystem_files > 0.9",
            "fs: fs.inodes_used > 90%",
        ),
        ("0.95 < rate(node_disk_io_time_seconds_total[5m])", "disk: avg(disk.busy, 5m) > 95%"),
        (
            "100 * (1 - sum by (instance) (rate(node_cpu_seconds_total{mode=~\"idle|iowait\"}[5m])) / count by (instance) (node_cpu_seconds_total{mode=\"idle\"})) > 90",
            "host: avg(cpu.busy, 5m) > 90%",
        ),
        // A mean over two modes is half of both together: half idle is not busy at all.
        (
            "100 * (1 - avg by (instance) (rate(node_cpu_seconds_total{mode=~\"idle|iowait\"}[5m]))) > 90",
            "host: avg(cpu.busy, 5m) > 80%",
        ),
        (
            "sum by (instance) (rate(node_cpu_seconds_total{mode!=\"idle\"}[5m])) > 3",
            "host: avg(cpu.busy + cpu.iowait, 5m) * cpu.count > 3",
        ),
        (
            "avg by (instance) (irate(node_cpu_seconds_total{mode=\"iowait\"}[5m])) * 100 > 20",
            "host: cpu.iowait > 20%",
        ),
        (
            "rate(node_cpu_seconds_total{mode=\"idle\"}[5m]) < 0.1",
            "cpu: avg(core.busy, 5m) > 90%\n! a CPU that waits for a disk is idle here",
        ),
        ("node_load5 > 2 and node_load1 > node_load5", "host: load.avg5 > 2 and load.avg1 > load.avg5"),
        ("node_memory_MemAvailable_bytes < 512 * 1024 * 1024", "host: mem.available < 512MiB"),
        (
            "(node_memory_MemTotal_bytes - node_memory_MemAvailable_bytes) / node_memory_MemTotal_bytes > .95",
            "host: (mem.total - mem.available) / mem.total > 95%",
        ),
        (
            "rate(node_network_receive_bytes_total{device!~\"lo|veth.*\"}[5m]) * 8 > 800e6",
            "net{iface=!lo !veth*}: avg(net.rx, 5m) > 100MB/s",
        ),
        ("max_over_time(node_load1[1h]) > 10", "host: max(load.avg1, 1h) > 10"),
        (
            "quantile_over_time(0.95, probe_duration_seconds{instance=\"https://a.example/\"}[10m]) > 2",
            "check{check=a-example}: p(check.latency, 95%, 10m) > 2s\n! failed probes have no duration here: check-down is about them",
        ),
        (
            "deriv(node_filesystem_avail_bytes[6h]) * 3600 < -1e9",
            "fs: deriv(fs.avail, 6h) < -277777.777778B/s",
        ),
        ("delta(node_filesystem_avail_bytes[1h]) < -10737418240", "fs: delta(fs.avail, 1h) < -10GiB"),
        ("node_filesystem_readonly{mountpoint=\"/\"} == 1", "fs{mount=/}: fs.readonly"),
        ("changes(node_network_up[10m]) > 5", "net: changes(net.up, 10m) > 5"),
        ("avg_over_time((node_load1 > bool 5)[10m:]) > 0.5", "host: frac(load.avg1 > 5, 10m) > 50%"),
        (
            "max_over_time(rate(node_network_receive_bytes_total[1m])[1h:]) > 1e6",
            "net: max(net.rx, 1h) > 1MB/s\n! a window within a window: here the outer one sees the samples themselves",
        ),
        ("(time() - node_boot_time_seconds) / 86400 > 100", "host: host.uptime > 100d"),
        (
            "node_load1 * on (instance) group_left (nodename) node_uname_info{nodename=~\".+\"} > 4",
            "host: load.avg1 > 4",
        ),
        ("node_filefd_allocated / node_filefd_maximum * 100 > 80", "host: fd.used > 80%"),
        ("node_nf_conntrack_entries / node_nf_conntrack_entries_limit > 0.8", "host: conntrack.used > 80%"),
        ("rate(node_vmstat_pgmajfault[1m]) > 1000", "host: avg(mem.major_faults, 1m) > 1000/s"),
        (
            "node_filesystem_avail_bytes{mountpoint=~\"/.*\", mountpoint=\"/data\"} < 1e9",
            "fs{mount=/data}: fs.avail < 1GB",
        ),
        // Sides that meet by object narrow each other, whatever each of them selects.
        (
            "node_filesystem_avail_bytes{fstype=\"ext4\"} < 1e9 and on (instance, mountpoint) node_filesystem_readonly{mountpoint=\"/data\"} == 0",
            "fs{fstype=ext4,mount=/data}: fs.avail < 1GB and not fs.readonly",
        ),
        (
            "node_filesystem_avail_bytes{mountpoint=\"/data\"} < 1e9 unless node_filesystem_readonly == 1",
            "fs{mount=/data}: fs.avail < 1GB and not fs.readonly",
        ),
        (
            "node_load5 > 8 unless on (instance) node_load1{job=\"node\"} < 1",
            "host: load.avg5 > 8 and load.avg1 >= 1",
        ),
        ("namedprocess_namegroup_num_procs{groupname=\"sshd\"} < 1", "proc{name=sshd}: proc.count < 1"),
        ("absent(namedprocess_namegroup_num_procs{groupname=\"sshd\"})", "proc{name=sshd}: proc.count < 1"),
        (
            "count by (instance) (node_systemd_unit_state{state=\"failed\"} == 1) > 0",
            "unit: unit.state == 'failed'",
        ),
        (
            "node_filesystem_avail_bytes{mountpoint=\"/\"} < 1e9 or node_load1 > 9",
            "fs{mount=/}: fs.avail < 1GB\nhost: load.avg1 > 9",
        ),
        (
            "node_filesystem_avail_bytes{mountpoint=~\"/data|/srv/.*\"} < 1073741824",
            "fs{mount=/data /srv/*}: fs.avail < 1GiB",
        ),
    ] {
        assert_eq!(alert(expr), ours, "{expr}");
    }
}

#[test]
fn what_cannot_be_said_is_told() {
    for (expr, ours) in [
        (
            "up == 0",
            "! says whether Prometheus reached an exporter; a host that watches itself cannot see that it is away",
        ),
        ("mysql_up == 0", "! a metric of an exporter that has no signal here"),
        ("job:x:rate5m > 1", "! is made by a recording rule that is not in these files"),
        ("node_load1 > node_load1 offset 1d", "! values of another time have no counterpart"),
        ("node_load1", "! has no comparison: it alerts whenever the series is there"),
        ("node_load1 > node_memory_MemTotal_bytes", "! puts number and bytes together"),
        ("topk(3, node_load1) > 1", "! topk over several objects has no counterpart"),
        (
            "count(node_load1 > 5) > 3",
            "! a number of objects has no counterpart: a rule is judged for each object by itself",
        ),
        ("holt_winters(node_load1[1h], 0.5, 0.5) > 1", "! holt_winters() has no counterpart"),
        (
            "node_network_receive_bytes_total > 5",
            "! a counter by itself has no meaning here: it is a rate already",
        ),
        ("rate(node_load1[5m]) > 5", "! rate() of node_load1, which is no counter"),
        ("node_boot_time_seconds > 5", "! computes with a time stamp"),
        ("node_filesystem_files_free < 1000", "! inodes have a signal only as share"),
        (
            "node_load1 > ",
            "! is no PromQL that is understood: a metric, function or number is wanted here, not the end (at ``)",
        ),
        ("1 / 0 > 1", "! has no counterpart"),
        ("node_load1 > +Inf", "! has no counterpart"),
        // A side that is lost leaves the other; where the rule would then raise more, it is switched off.
        (
            "node_load1 > 5 or up == 0",
            "host: load.avg1 > 5\n! says whether Prometheus reached an exporter; a host that watches itself cannot see that it is away",
        ),
        ("node_load1 > 5 and hour() > 8", "host: load.avg1 > 5 OFF\n! the time of day is no condition here"),
        (
            "node_load1 > 5 unless up == 0",
            "host: load.avg1 > 5 OFF\n! says whether Prometheus reached an exporter; a host that watches itself cannot see that it is away",
        ),
        (
            "node_load1{instance=\"db1:9100\"} > 5",
            "host: load.avg1 > 5\n! selects hosts, or a label that is not known here",
        ),
        // A rule sees one object at a time.
        (
            "node_filesystem_avail_bytes < 1e9 unless node_filesystem_size_bytes{mountpoint=\"/boot\"} > 0",
            "fs: fs.avail < 1GB OFF\n! selects other objects than the left side",
        ),
        (
            "node_load5 > 8 unless on (instance) node_systemd_unit_state{name=\"backup.service\",state=\"active\"} == 1",
            "host: load.avg5 > 8 OFF\n! selects other objects than the left side",
        ),
        (
            "node_systemd_unit_state{state=\"failed\",name=\"a.service\"} == 1 and on (instance) node_systemd_unit_state{state=\"active\",name=\"b.service\"} == 1",
            "unit{unit=a.service}: unit.state == 'failed' OFF\n! selects other objects than the left side",
        ),
        (
            "node_load5 > 8 unless on (instance) node_uname_info",
            "host: load.avg5 > 8 OFF\n! only asks whether the series is there",
        ),
        (
            "node_filesystem_avail_bytes < 1e9 and on (instance) node_filesystem_readonly == 1",
            "fs: fs.avail < 1GB and fs.readonly\n! holds for any object of the host there, for the same one here",
        ),
        (
            "node_filesystem_avail_bytes{mountpoint=\"/\"} - on (instance) node_filesystem_avail_bytes{mountpoint=\"/data\"} < 0",
            "fs: fs.avail - fs.avail < 0B OFF\n! selects other objects than what stands before it",
        ),
        (
            "node_filesystem_readonly == 1 and rate(node_disk_read_bytes_total[5m]) > 1",
            "fs: fs.readonly OFF\n! a rule is about one kind of object: this is disk, before it was fs",
        ),
        (
            "min by (instance) (rate(node_cpu_seconds_total{mode=\"idle\"}[5m])) < 0.1",
            "host: avg(cpu.busy + cpu.iowait, 5m) > 90%\n! a single CPU there, all of them together here: core.busy of class cpu has each",
        ),
        ("avg(node_load1) > 5", "host: load.avg1 > 5\n! over all hosts there, this host by itself here"),
    ] {
        assert_eq!(alert(expr), ours, "{expr}");
    }
}

#[test]
fn a_circle_of_recording_rules_ends() {
    let text = "groups:\n- rules:\n  - {record: 'a:b', expr: 'c:d + 1'}\n  - {record: 'c:d', expr: 'a:b + 1'}\n  - {alert: X, expr: 'a:b > 1'}\n";
    assert!(shown(&of_text(Product::Prometheus, text)).contains("in a circle"));
}

#[test]
fn alerts_of_one_name_are_steps_wherever_they_stand() {
    let alert = |name: &str, limit: u8, severity: &str| {
        format!("  - {{alert: {name}, expr: node_load1 > {limit}, labels: {{severity: {severity}}}}}\n")
    };
    let all = [alert("L", 4, "warning"), alert("Other", 6, "info"), alert("L", 8, "critical")];
    let made = of_text(Product::Prometheus, &format!("groups:\n- rules:\n{}", all.concat()));
    assert_eq!(shown(&made), "host: load.avg1 > 4 | load.avg1 > 8\nhost: load.avg1 > 6");
    assert_eq!(made.count(Fate::Whole), 3);
}

/// What is asked once a minute or so must fail as often here as it had to there.
#[test]
fn a_failed_probe_less_than_was_said_raises_nothing() {
    let ssh = "define host {\n host_name web1\n address 192.0.2.1\n}\ndefine service {\n host_name web1\n service_description SSH\n max_check_attempts 4\n check_interval 5\n retry_interval 1\n check_command check_ssh\n}\n";
    let port = "set daemon 60\ncheck host a address 192.0.2.1\n if failed port 22 for 4 cycles then alert\n";
    let some = "set daemon 60\ncheck host a address 192.0.2.1\n if failed port 22 for 4 times within 8 cycles then alert\n";
    for (product, text, rule) in [
        (Product::Nagios, ssh, "ssh"),
        (Product::Monit, port, "a-port-22"),
        (Product::Monit, some, "a-port-22"),
    ] {
        let made = of_text(product, text);
        assert!(made.toml.contains("interval = \"1m\""), "{}", made.toml);
        for (failures, incidents) in [(1, 0), (3, 0), (4, 1)] {
            let test = format!(
                "[[test]]\nrule = \"{rule}\"\nstep = \"1m\"\nseries = {{ \"check.up{{check={rule},kind=tcp}}\" = \"truex20 falsex{failures} truex20\" }}\nincidents = {incidents}\n"
            );
            let config = loaded(&format!("{}\n{test}", made.toml));
            let own = config.tests.iter().find(|t| !t.place.is_builtin).unwrap();
            let proof = prove(own, &config.plan);
            assert!(
                proof.passed(),
                "{product:?} {rule}, {failures} failures: {:?}\n{}",
                proof.trouble,
                made.toml
            );
        }
    }
}

#[test]
fn what_kept_a_service_of_nagios_quiet_keeps_its_rule_off() {
    let service = |more: &str| {
        let text = format!(
            "define host {{\n host_name web1\n}}\ndefine timeperiod {{\n timeperiod_name workhours\n monday 09:00-17:00\n}}\ndefine service {{\n host_name web1\n service_description L\n check_command check_local_load!5,4,3!10,8,6\n {more}\n}}\n"
        );
        let made = of_text(Product::Nagios, &text);
        let item = &made.items[0];
        (item.losses.iter().map(|l| l.why.clone()).collect::<Vec<_>>().join("; "), item.rules[0].enabled)
    };
    for (more, losses, enabled) in [
        ("check_period 24x7", "", true),
        ("event_handler null", "", true),
        ("notifications_enabled 1", "", true),
        ("notifications_enabled 0", "tells nobody", false),
        ("notification_options n", "tells nobody", false),
        ("check_period workhours", "is judged at some hours only", false),
        ("notification_period workhours", "is told at some hours only", false),
        ("first_notification_delay 30", "waits before it tells anybody", true),
        ("event_handler restart-it", "runs a command when the state changes", true),
    ] {
        assert_eq!(service(more), (losses.to_owned(), enabled), "{more}");
    }
}

#[test]
fn hosts_of_nagios_are_asked_by_their_addresses_and_keep_their_values() {
    let service = |entries: &str, command: &str| {
        let text = format!(
            "define host {{\n host_name web1\n address 192.0.2.1\n _LIMIT 20%\n hostgroups webs\n}}\ndefine host {{\n host_name web2\n address 192.0.2.2\n _LIMIT 5%\n hostgroups webs\n}}\ndefine hostgroup {{\n hostgroup_name all\n hostgroup_members webs\n}}\ndefine command {{\n command_name disk\n command_line check_disk -E -w $_HOSTLIMIT$ -p /var/\n}}\ndefine service {{\n {entries}\n service_description S\n check_command {command}\n}}\n"
        );
        of_text(Product::Nagios, &text)
    };
    let addresses = |made: &Imported| {
        let values = made.toml.lines().filter_map(|l| l.strip_prefix("address = "));
        values.collect::<Vec<_>>().join(" ")
    };
    for (entries, command, asked) in [
        ("host_name *", "check_ssh", "\"192.0.2.1:22\" \"192.0.2.2:22\""),
        ("hostgroup_name all", "check_ssh", "\"192.0.2.1:22\" \"192.0.2.2:22\""),
        ("host_name web1", "check_ssh!-4", "\"192.0.2.1:22\""),
        ("host_name elsewhere", "check_ssh", ""),
    ] {
        assert_eq!(addresses(&service(entries, command)), asked, "{entries} {command}");
    }
    assert_eq!(
        shown(&service("host_name elsewhere", "check_ssh")),
        "! the address of elsewhere is not in these files"
    );
    assert_eq!(
        shown(&service("host_name *", "disk")),
        "fs{mount=/var}: fs.used > 80%\n! these are the values of web1; others are on web2"
    );
}

#[test]
fn resources_of_kubernetes_are_read() {
    let text = "apiVersion: monitoring.coreos.com/v1\nkind: PrometheusRule\nspec:\n  groups:\n  - name: a\n    rules:\n    - alert: L\n      expr: node_load1 > 4\n      for: 1h30m\n";
    assert_eq!(shown(&of_text(Product::Prometheus, text)), "host: load.avg1 > 4");
}

#[test]
fn tests_of_monit_become_conditions() {
    for (test, ours) in [
        ("check system a\n if loadavg (15min) > 3 for 2 cycles then alert", "host: load.avg15 > 3"),
        ("check system a\n if cpu(user) greater than 70% then alert", "host: cpu.user > 70%"),
        ("check system a\n if memory > 1 GB then alert", "host: mem.total - mem.available > 1GiB"),
        (
            "check system a\n if cpu > 90% 3 times within 4 cycles then alert",
            "host: frac(cpu.busy + cpu.iowait > 90%, 4m) >= 75%",
        ),
        (
            "check filesystem a with path /dev/sda1\n if space free < 10% then alert",
            "fs{device=/dev/sda1}: fs.used > 90%",
        ),
        ("check device a path /srv\n if inode free < 5% then alert", "fs{mount=/srv}: fs.inodes_used > 95%"),
        (
            "check network a interface eth1\n if download > 1 MB/s then alert",
            "net{iface=eth1}: net.rx > 1MiB/s",
        ),
        (
            "check host a address b.example\n if failed url https://b.example/x content == \"ok\" then alert",
            "check{check=a-http}: not check.up",
        ),
        (
            "check process a matching \"sshd\"\n if uptime < 1 hour then alert\n if does not exist then alert",
            "proc{name=sshd}: proc.age < 1h\nproc{name=sshd}: proc.count < 1",
        ),
        ("check system a\n if filedescriptors > 80% then alert", "host: fd.used > 80%"),
        // Whether it answers, and how long its certificate is good, are two things.
        (
            "check host a address b.example\n if failed port 443 protocol https certificate valid > 30 days then alert",
            "check{check=a-port-443}: not check.up\ncheck{check=a-port-443}: check.cert_left < 30d",
        ),
        (
            "check host a address b.example\n if failed port 465 type tcpssl protocol smtps certificate valid > 30 days then alert",
            "check{check=a-port-465}: not check.up\n! TLS is not spoken by tcp checks: only the port is asked\n! tcp checks see no certificate: a rule with check.cert_left on an http check",
        ),
        (
            "check host a address b.example\n if failed port 389 protocol ldap3 timeout 90 seconds then alert",
            "check{check=a-port-389}: not check.up\n! this protocol is not spoken by tcp checks: only the port is asked\n! a time-out of no length, or longer than a cycle: the usual one holds",
        ),
        ("check network a interface eth1\n if link down then alert", "net{iface=eth1}: not net.up"),
        (
            "check network a interface eth1\n if changed link capacity then alert",
            "! that something has changed is no condition here",
        ),
        (
            "check filesystem a path /var/\n if inode usage > 90% then alert",
            "fs{mount=/var}: fs.inodes_used > 90%",
        ),
        (
            "check filesystem a path /dev/sda1\n if does not exist then alert",
            "fs{device=/dev/sda1}: fs.hung\n! that it is not mounted is seen of a path, not of a device: `match` on the mount with `nodata_after`",
        ),
        ("check system a\n if gremlins > 3 then alert", "! is not understood"),
        (
            "check file a path /x\n if size > 1 MB then alert",
            "! files and directories have no signal in this version",
        ),
    ] {
        assert_eq!(shown(&of_text(Product::Monit, test)), ours, "{test}");
    }
}

#[test]
fn commands_of_nrpe_become_conditions() {
    for (line, ours) in [
        (
            "check_load -w 15,10,5 -c 30,25,20",
            "host: load.avg1 > 15 or load.avg5 > 10 or load.avg15 > 5 | load.avg1 > 30 or load.avg5 > 25 or load.avg15 > 20",
        ),
        ("check_disk -w 20% -c 10% -p /", "fs{mount=/}: fs.used > 80% | fs.used > 90%"),
        ("check_disk -E -P -w 20% -c 10% -p /srv/", "fs{mount=/srv}: fs.used > 80% | fs.used > 90%"),
        ("check_disk -w 10 -c 5 -u GB /srv", "fs{mount=/srv}: fs.avail < 10GiB | fs.avail < 5GiB"),
        ("check_procs -c 1:1 -C ntpd", "proc{name=ntpd}: proc.count < 1 or proc.count > 1"),
        ("check_swap -w 50% -c 100MB", "host: swap.free / swap.total < 50% | swap.free < 100MiB"),
        (
            "check_http -H a.example -C 14",
            "check{check=x}: not check.up\ncheck{check=x}: check.cert_left < 2w",
        ),
        ("check_ssh localhost", "check{check=x}: not check.up"),
    ] {
        assert_eq!(
            shown(&of_text(Product::Nagios, &format!("command[x]=/usr/lib/{line}\n"))),
            ours,
            "{line}"
        );
    }
}
