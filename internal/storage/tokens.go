package storage

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"os"
	"path/filepath"
	"time"

	"github.com/rclone/rclone/fs/fshttp"
	"golang.org/x/oauth2"
	"golang.org/x/oauth2/google"

	"salvor/internal/atomicfile"
	"salvor/internal/memdir"
)

// Tokens is a folder in memory in which the processes of one user on one computer share
// the access tokens of Google Drive, so that they ask for one an hour together, not each
// for its own. "" shares none, nor does a folder that is on a disk.
type Tokens string

// A sharedToken is the OAuth token of a remote, whose access token is shared.
type sharedToken struct {
	ctx    context.Context // of the file system that uses it, with rclone's settings
	tokens Tokens
	config oauth2.Config
	own    oauth2.Token // as declared; its refresh token is never written anywhere
}

// of returns the token of a remote that has one to share, else nil.
func (t Tokens) of(ctx context.Context, r Remote) *sharedToken {
	s := &sharedToken{ctx: ctx, tokens: t}
	if t == "" || r.Type != typeDrive || json.Unmarshal(r.Options["token"].Reveal(), &s.own) != nil || s.own.RefreshToken == "" {
		return nil
	}
	s.config = oauth2.Config{ClientID: string(r.Options["client_id"].Reveal()), ClientSecret: string(r.Options["client_secret"].Reveal()), Endpoint: google.Endpoint}
	return s
}

// current returns an access token that is valid, as rclone's option token: the declared
// one, the one that is shared, or a new one, which is shared from now on. Where there is
// none to be had it is the declared one: rclone asks then, and reports what is wrong.
func (s *sharedToken) current() string {
	token := s.own
	if !token.Valid() {
		if fresh, err := s.renew(); err == nil {
			token.AccessToken, token.TokenType, token.Expiry = fresh.AccessToken, fresh.TokenType, fresh.Expiry
		}
	}
	raw, err := json.Marshal(token)
	if err != nil {
		return "" // a token can be marshalled
	}
	return string(raw)
}

// renew returns the shared token, made again by the first process that finds it expired:
// the others wait for it.
func (s *sharedToken) renew() (*oauth2.Token, error) {
	dir := string(s.tokens)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if _, err := memdir.KindOf(dir); err != nil {
		return nil, err
	}
	lock, err := s.lock()
	if err != nil {
		return nil, err
	}
	defer lock.Close()
	if shared, err := s.read(); err == nil && shared.Valid() {
		return shared, nil
	}
	ctx := context.WithValue(s.ctx, oauth2.HTTPClient, fshttp.NewClient(s.ctx))
	fresh, err := s.config.TokenSource(ctx, &oauth2.Token{RefreshToken: s.own.RefreshToken}).Token()
	if err != nil {
		return nil, err
	}
	fresh = &oauth2.Token{AccessToken: fresh.AccessToken, TokenType: fresh.TokenType, Expiry: fresh.Expiry}
	raw, err := json.Marshal(fresh)
	if err == nil {
		err = atomicfile.Write(s.file(), bytes.NewReader(raw), 0o600)
	}
	return fresh, err
}

// file is one of its own for each grant: a renewed one has another.
func (s *sharedToken) file() string {
	sum := sha256.Sum256([]byte(s.config.ClientID + "\x00" + s.own.RefreshToken))
	return filepath.Join(string(s.tokens), hex.EncodeToString(sum[:16])+".json")
}

func (s *sharedToken) read() (*oauth2.Token, error) {
	raw, err := os.ReadFile(s.file())
	if err != nil {
		return nil, err
	}
	var t oauth2.Token
	return &t, json.Unmarshal(raw, &t)
}

const (
	lockWait = 40 * time.Second // more than one request takes
	lockPace = 20 * time.Millisecond
)

// lock waits for the other processes of the computer, which the kernel ends it with.
func (s *sharedToken) lock() (*os.File, error) {
	ctx, cancel := context.WithTimeout(s.ctx, lockWait)
	defer cancel()
	return flocked(ctx, s.file()+".lock", lockPace)
}
