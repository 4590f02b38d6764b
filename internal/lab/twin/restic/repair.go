package restic

import (
	"context"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"path"
)

// entrySize is what a header has of each blob: its type, its length and its name.
const entrySize = 1 + 4 + 32

// named is a pack in an index.
type named struct {
	ID    string   `json:"id"`
	Blobs []packed `json:"blobs"`
}

// repair is `restic repair index`: an index of what the packs say that they hold takes
// the place of those that are there.
func (r *run) repair(ctx context.Context) error {
	old, err := r.store.List(ctx, "index")
	if err != nil {
		return err
	}
	listed, err := r.store.List(ctx, "data")
	if err != nil {
		return err
	}
	var packs []named
	for _, o := range listed {
		id := path.Base(o.Path)
		if blobs, err := r.contents(ctx, id); err == nil {
			packs = append(packs, named{id, blobs})
		}
	}
	plain, err := json.Marshal(map[string]any{"packs": packs})
	if err != nil {
		return err
	}
	made, err := r.put(ctx, "index", plain)
	if err != nil {
		return err
	}
	for _, o := range old {
		if name := path.Base(o.Path); name != made {
			err = errors.Join(err, r.store.Delete(ctx, "index/"+name))
		}
	}
	return err
}

// contents reads the header of a pack.
func (r *run) contents(ctx context.Context, id string) ([]packed, error) {
	body, err := r.store.Get(ctx, "data/"+id, 0, -1)
	if err != nil {
		return nil, err
	}
	content, err := io.ReadAll(body)
	if err = errors.Join(err, body.Close()); err != nil {
		return nil, err
	}
	end := len(content) - 4
	if end < 0 || int(binary.LittleEndian.Uint32(content[end:])) > end {
		return nil, fmt.Errorf("pack %s has no header", id)
	}
	header, err := r.key.open(content[end-int(binary.LittleEndian.Uint32(content[end:])) : end])
	if err != nil {
		return nil, err
	}
	var blobs []packed
	offset := 0
	for ; len(header) >= entrySize; header = header[entrySize:] {
		kind := "data"
		if header[0] == 1 {
			kind = "tree"
		}
		length := int(binary.LittleEndian.Uint32(header[1:]))
		blobs = append(blobs, packed{hex.EncodeToString(header[5:entrySize]), kind, offset, length})
		offset += length
	}
	return blobs, nil
}
