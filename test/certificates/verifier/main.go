// Judges chains as Go's crypto/x509 does (the API server, gRPC clients), and makes authorities in Go's own encodings.
// In: one JSON object on stdin. Out: one JSON object on stdout.
package main

import (
	"crypto"
	"crypto/ecdsa"
	"crypto/ed25519"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/rsa"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/json"
	"encoding/pem"
	"math/big"
	"os"
	"time"
)

type chain struct {
	Name  string `json:"name"`
	Chain string `json:"chain"`
	Roots string `json:"roots"`
	DNS   string `json:"dns"`
	NowMs int64  `json:"nowMs"`
}

type authority struct {
	Name         string `json:"name"`
	Organization string `json:"organization"`
	CommonName   string `json:"commonName"`
	Key          string `json:"key"`
}

type made struct {
	Name string `json:"name"`
	Cert string `json:"cert"`
	Key  string `json:"key"`
	Root string `json:"root"`
}

type request struct {
	Verify []chain     `json:"verify"`
	Make   []authority `json:"make"`
}

func main() {
	var in request
	if err := json.NewDecoder(os.Stdin).Decode(&in); err != nil {
		panic(err)
	}
	verdicts := map[string]string{}
	for _, c := range in.Verify {
		verdicts[c.Name] = verify(c)
	}
	authorities := []made{}
	for _, a := range in.Make {
		authorities = append(authorities, makeAuthority(a))
	}
	if err := json.NewEncoder(os.Stdout).Encode(map[string]any{"verdicts": verdicts, "made": authorities}); err != nil {
		panic(err)
	}
}

// "" where the first certificate is good for servers and for clients.
func verify(c chain) string {
	roots, intermediates := x509.NewCertPool(), x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(c.Roots)) {
		return "no root can be read"
	}
	var leaf *x509.Certificate
	for rest := []byte(c.Chain); ; {
		var block *pem.Block
		if block, rest = pem.Decode(rest); block == nil {
			break
		}
		cert, err := x509.ParseCertificate(block.Bytes)
		if err != nil {
			return err.Error()
		}
		if leaf == nil {
			leaf = cert
		} else {
			intermediates.AddCert(cert)
		}
	}
	for _, usage := range []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth} {
		if _, err := leaf.Verify(x509.VerifyOptions{Roots: roots, Intermediates: intermediates, DNSName: c.DNS, CurrentTime: time.UnixMilli(c.NowMs), KeyUsages: []x509.ExtKeyUsage{usage}}); err != nil {
			return err.Error()
		}
	}
	return ""
}

// A root with an intermediate below it, as step and cert-manager make them.
func makeAuthority(a authority) made {
	rootKey, key := newKey(a.Key), newKey(a.Key)
	name := func(suffix string) pkix.Name {
		n := pkix.Name{CommonName: a.CommonName + suffix}
		if a.Organization != "" {
			n.Organization = []string{a.Organization}
		}
		return n
	}
	template := func(subject pkix.Name, pathLength int) *x509.Certificate {
		serial, _ := rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))
		return &x509.Certificate{
			SerialNumber: serial, Subject: subject, NotBefore: time.Now().Add(-time.Minute), NotAfter: time.Now().Add(9 * 24 * time.Hour),
			KeyUsage: x509.KeyUsageCertSign | x509.KeyUsageCRLSign, BasicConstraintsValid: true, IsCA: true, MaxPathLen: pathLength, MaxPathLenZero: pathLength == 0,
		}
	}
	rootTemplate := template(name(" Root CA"), 1)
	root := sign(rootTemplate, rootTemplate, rootKey.Public(), rootKey)
	rootCert, _ := x509.ParseCertificate(root)
	cert := sign(template(name(" Intermediate CA"), 0), rootCert, key.Public(), rootKey)
	pkcs8, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		panic(err)
	}
	return made{a.Name, text("CERTIFICATE", cert), text("PRIVATE KEY", pkcs8), text("CERTIFICATE", root)}
}

func newKey(kind string) crypto.Signer {
	var key crypto.Signer
	var err error
	switch kind {
	case "rsa":
		key, err = rsa.GenerateKey(rand.Reader, 2048)
	case "ed25519":
		_, key, err = ed25519.GenerateKey(rand.Reader)
	default:
		key, err = ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	}
	if err != nil {
		panic(err)
	}
	return key
}

func sign(template, parent *x509.Certificate, public crypto.PublicKey, key crypto.Signer) []byte {
	der, err := x509.CreateCertificate(rand.Reader, template, parent, public, key)
	if err != nil {
		panic(err)
	}
	return der
}

func text(kind string, der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: kind, Bytes: der}))
}
