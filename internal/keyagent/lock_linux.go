package keyagent

import "golang.org/x/sys/unix"

// stayInMemory keeps this process out of the swap as a whole, with what the age library
// makes of the key for the moment in which it unwraps. The system allows that to root and
// where `ulimit -l` is unlimited; elsewhere only a vault is kept out of it.
func stayInMemory() { _ = unix.Mlockall(unix.MCL_CURRENT | unix.MCL_FUTURE | unix.MCL_ONFAULT) }
