// Package twin is the lab in one process: hosts, a Git host, a remote and operators, all
// of whose own code is the real one. Only what is outside of a process is a fake: the
// machine below a host, its Docker engine, the restic program, Git, the remote and the
// clock. Random worlds of it check the laws that Salvor keeps whatever happens.
package twin
