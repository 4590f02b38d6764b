package lab

import "context"

// Put copies a file or folder of this machine into a folder of the host, which is made; it is
// root's there.
func (h *Host) Put(ctx context.Context, from, to string) error {
	const script = `tar -C "${1%/*}" -c "${1##*/}" | docker exec -i "$2" sh -c 'mkdir -p "$1" && tar -C "$1" -x --no-same-owner' sh "$3"`
	_, err := process{argv: []string{"sh", "-c", script, "sh", from, h.container, to}}.run(ctx)
	return err
}
