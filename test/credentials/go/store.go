// A store in Go, with the standard library only: writes and reads the files of moat's format, for file-store-go.test.ts.
// `store save DIR KEYFILE` takes credentials from stdin, one JSON object a line; `store get DIR KEYFILE NAME...` prints
// them. The key is base64, a file is gcm.Seal(nonce, nonce, json, nil).

package main

import (
	"bufio"
	"bytes"
	"crypto/aes"
	"crypto/cipher"
	"crypto/rand"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"time"
)

type credential struct {
	Provider  string            `json:"provider"`
	Token     string            `json:"token"`
	Scopes    []string          `json:"scopes,omitempty"`
	ExpiresAt time.Time         `json:"expires_at,omitempty"`
	CreatedAt time.Time         `json:"created_at"`
	Metadata  map[string]string `json:"metadata,omitempty"`
}

func main() {
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(1)
	}
}

func run(what, dir, keyFile string, names []string) error {
	aead, err := open(keyFile)
	if err != nil {
		return err
	}
	if what == "save" {
		return save(aead, dir)
	}
	for _, name := range names {
		if err := get(aead, dir, name); err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
	}
	return nil
}

func open(keyFile string) (cipher.AEAD, error) {
	text, err := os.ReadFile(keyFile)
	if err != nil {
		return nil, err
	}
	key, err := base64.StdEncoding.DecodeString(string(bytes.TrimSpace(text)))
	if err != nil {
		return nil, err
	}
	block, err := aes.NewCipher(key)
	if err != nil {
		return nil, err
	}
	return cipher.NewGCM(block)
}

func save(aead cipher.AEAD, dir string) error {
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 1<<20)
	for lines.Scan() {
		var one credential
		if err := json.Unmarshal(lines.Bytes(), &one); err != nil {
			return err
		}
		plain, err := json.Marshal(one)
		if err != nil {
			return err
		}
		nonce := make([]byte, aead.NonceSize())
		if _, err := rand.Read(nonce); err != nil {
			return err
		}
		path := filepath.Join(dir, one.Provider+".enc")
		if err := os.WriteFile(path, aead.Seal(nonce, nonce, plain, nil), 0o600); err != nil {
			return err
		}
	}
	return lines.Err()
}

func get(aead cipher.AEAD, dir, name string) error {
	sealed, err := os.ReadFile(filepath.Join(dir, name+".enc"))
	if err != nil {
		return err
	}
	size := aead.NonceSize()
	plain, err := aead.Open(nil, sealed[:size], sealed[size:], nil)
	if err != nil {
		return err
	}
	var one credential
	if err := json.Unmarshal(plain, &one); err != nil {
		return err
	}
	return json.NewEncoder(os.Stdout).Encode(one)
}
