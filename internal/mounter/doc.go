// Package mounter serves the folders of a stack's shared volumes as file systems: rclone's
// vfs in front of the remote, mounted by a system call, so that a host needs /dev/fuse and
// no package. Its process is salvord-mount@STACK.service.
package mounter
