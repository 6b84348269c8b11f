package pipenet

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"math/big"
	"net"
	"sync"
	"time"
)

// Certificate is a self-signed certificate for localhost.
type Certificate struct {
	pair  tls.Certificate
	roots *x509.CertPool
}

// Config returns the TLS configuration of a server with HTTP/2.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.pair}, NextProtos: []string{"h2", "http/1.1"}}
}

// certificate returns a certificate that is valid at any time of a bubble's clock.
var certificate = sync.OnceValue(func() *Certificate {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		panic(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), DNSNames: []string{"localhost"}, IsCA: true, BasicConstraintsValid: true,
		NotBefore: time.Unix(0, 0), NotAfter: time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC),
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		panic(err)
	}
	leaf, err := x509.ParseCertificate(der)
	if err != nil {
		panic(err)
	}
	roots := x509.NewCertPool()
	roots.AddCert(leaf)
	return &Certificate{pair: tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, roots: roots}
})

// TLS returns a TLS connection over conn, the server's end of an intercepted connection.
func TLS(conn net.Conn) *tls.Conn { return tls.Server(conn, certificate().Config()) }
