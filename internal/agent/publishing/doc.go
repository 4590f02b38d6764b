// Package publishing has a host's public hostnames follow what the host runs: it looks at
// containers and at whose the stacks are, and brings Cloudflare to what is wanted. It works
// in the daemon; an apply, which is another process, announces to it what it deploys.
package publishing
