// Package mount is what a host knows of the mounts of shared volumes without serving them:
// the folder that a mount stands on, what of it is not on the remote yet, and which
// containers have one that is dead. Package mounter serves them.
package mount
