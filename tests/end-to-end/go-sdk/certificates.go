package main

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"time"
)

// customer is a certificate authority as a customer brings one.
type customer struct {
	key         *ecdsa.PrivateKey
	certificate *x509.Certificate
	pem         string
}

func newCustomer() *customer {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := described("customer")
	template.IsCA = true
	template.BasicConstraintsValid = true
	template.KeyUsage = x509.KeyUsageCertSign
	der := must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key))
	return &customer{key: key, certificate: must(x509.ParseCertificate(der)), pem: inPEM(der)}
}

// signs makes a certificate under the authority.
func (c *customer) signs(commonName string) string {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	return inPEM(must(x509.CreateCertificate(rand.Reader, described(commonName), c.certificate, key.Public(), c.key)))
}

// selfSigned makes a certificate that nobody vouches for.
func selfSigned(commonName string) string {
	key := must(ecdsa.GenerateKey(elliptic.P256(), rand.Reader))
	template := described(commonName)
	return inPEM(must(x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)))
}

func described(commonName string) *x509.Certificate {
	return &x509.Certificate{
		SerialNumber: must(rand.Int(rand.Reader, new(big.Int).Lsh(big.NewInt(1), 127))),
		Subject:      pkix.Name{CommonName: commonName},
		NotBefore:    time.Now().Add(-time.Hour),
		NotAfter:     time.Now().Add(24 * time.Hour),
	}
}

func inPEM(der []byte) string {
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}))
}

func parsed(text string) *x509.Certificate {
	block, rest := pem.Decode([]byte(text))
	is("one PEM block", block != nil && len(rest) == 0)
	return must(x509.ParseCertificate(block.Bytes))
}
