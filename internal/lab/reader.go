package lab

import "context"

// reader is the image under Reader.
var reader = built{name: "reader", script: recipe("reader.sh")}

// A Reader is a computer with Debian's own age, restic and rclone, and the databases whose
// data is in snapshots. Nothing of Salvor is on it.
type Reader struct{ service }

// StartReader starts it. It finds the lab's Drive, if that was started before.
func StartReader(ctx context.Context, l *Lab) (*Reader, error) {
	image, err := l.build(ctx, reader)
	if err != nil {
		return nil, err
	}
	s, err := l.serviceFrom(ctx, image, "reader", l.public().leading(), "exec sleep infinity")
	if err != nil {
		return nil, err
	}
	return &Reader{s}, l.public().trusted(ctx, s.container)
}

// Exec runs a program there and returns what it printed.
func (r *Reader) Exec(ctx context.Context, argv ...string) (string, error) {
	return docker(ctx, append([]string{"exec", r.container}, argv...)...)
}

// WriteFile writes a root-owned file of mode 0600 there, with its folder.
func (r *Reader) WriteFile(ctx context.Context, path, content string) error {
	return writeIn(ctx, r.container, path, content)
}
