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

// Certificate is a self-signed one for localhost.
type Certificate struct {
	pair  tls.Certificate
	roots *x509.CertPool
}

// Config returns that of a server with HTTP/2.
func (c *Certificate) Config() *tls.Config {
	return &tls.Config{Certificates: []tls.Certificate{c.pair}, NextProtos: []string{"h2", "http/1.1"}}
}

// certificate is valid whatever a bubble's clock says.
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

// TLS returns the server's end of an intercepted connection of a network with TLS.
func TLS(conn net.Conn) *tls.Conn { return tls.Server(conn, certificate().Config()) }
