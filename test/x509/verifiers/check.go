// Reads lines "CA file, chain file, name"; verifies the chain for the name and prints "ok" or the refusal for each.
package main

import (
	"bufio"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"os"
	"strings"
)

func certificates(file string) (found []*x509.Certificate) {
	rest, err := os.ReadFile(file)
	if err != nil {
		panic(err)
	}
	for block, rest := pem.Decode(rest); block != nil; block, rest = pem.Decode(rest) {
		certificate, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			panic(err)
		}
		found = append(found, certificate)
	}
	return found
}

func main() {
	lines := bufio.NewScanner(os.Stdin)
	for lines.Scan() {
		parts := strings.Split(lines.Text(), "\t")
		roots := x509.NewCertPool()
		roots.AddCert(certificates(parts[0])[0])
		leaf := certificates(parts[1])[0]
		_, err := leaf.Verify(x509.VerifyOptions{Roots: roots, DNSName: parts[2]})
		if err != nil {
			fmt.Println("refused:", strings.ReplaceAll(err.Error(), "\n", " "))
		} else {
			fmt.Println("ok")
		}
	}
}
