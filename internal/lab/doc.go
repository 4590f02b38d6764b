// Package lab starts real Debian hosts (systemd as PID 1, sshd, room for their
// own Docker) as containers of the machine's one Docker engine, together with
// what a fleet needs around it: an image registry, a Git host, a remote, an apt
// repository. Hosts can be killed, frozen, cut off, rebooted and replaced.
//
// Everything a lab starts carries its run id, the process that owns it and that
// process's start time as labels, so that what a dead process left behind can be
// distinguished from what a living one still uses. Images and downloaded packages are
// kept between runs, named by the hash of what they are made of.
//
// The lab is for tests and cmd/salvorlab; no product code imports it.
package lab
