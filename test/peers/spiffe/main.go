// go-spiffe as an agent and as a service that talk to each other, and as the second opinion on SPIFFE IDs.
//
//	server CLIENT_ID FD   a service on a listening socket: mutual TLS for that client alone; answers with the peer's ID
//	client PROXY SERVER_ID URL ROTATIONS
//	                      an agent: sources, bundles, tokens, mutual TLS through the proxy; prints JSON, a line after
//	                      each rotation
//	ids                   hex lines of candidate IDs in, "ok TRUST_DOMAIN PATH" or "no" lines out
package main

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/spiffe/go-spiffe/v2/spiffeid"
	"github.com/spiffe/go-spiffe/v2/spiffetls/tlsconfig"
	"github.com/spiffe/go-spiffe/v2/svid/jwtsvid"
	"github.com/spiffe/go-spiffe/v2/svid/x509svid"
	"github.com/spiffe/go-spiffe/v2/workloadapi"
)

func check(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "spiffe peer:", err)
		os.Exit(1)
	}
}

func serve(client, fd string) {
	ctx := context.Background()
	source, err := workloadapi.NewX509Source(ctx)
	check(err)
	config := tlsconfig.MTLSServerConfig(source, source, tlsconfig.AuthorizeID(spiffeid.RequireFromString(client)))
	number, err := strconv.Atoi(fd)
	check(err)
	listener, err := net.FileListener(os.NewFile(uintptr(number), "listener"))
	check(err)
	check(http.Serve(tls.NewListener(listener, config), http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		id, err := x509svid.IDFromCert(r.TLS.PeerCertificates[0])
		if err != nil {
			http.Error(w, err.Error(), http.StatusForbidden)
			return
		}
		io.WriteString(w, id.String())
	})))
}

type report struct {
	ID, Serial, Bundle, Token, TokenID, Peer string
	Authorities, Keys                        int
}

func look(ctx context.Context, x509 *workloadapi.X509Source, jwt *workloadapi.JWTSource, proxy, server, address string) report {
	svid, err := x509.GetX509SVID()
	check(err)
	bundle, err := x509.GetX509BundleForTrustDomain(svid.ID.TrustDomain())
	check(err)
	// What a verifier anywhere would do with it.
	verified, _, err := x509svid.Verify(svid.Certificates, bundle)
	check(err)
	keys, err := jwt.GetJWTBundleForTrustDomain(svid.ID.TrustDomain())
	check(err)
	token, err := jwt.FetchJWTSVID(ctx, jwtsvid.Params{Audience: "a peer", ExtraAudiences: []string{"another"}})
	check(err)
	parsed, err := jwtsvid.ParseAndValidate(token.Marshal(), keys, []string{"another"})
	check(err)
	if _, err := jwtsvid.ParseAndValidate(token.Marshal(), keys, []string{"somebody else"}); err == nil {
		check(fmt.Errorf("a token for others was taken"))
	}
	through, err := url.Parse(proxy)
	check(err)
	client := &http.Client{Timeout: 20 * time.Second, Transport: &http.Transport{
		Proxy:             http.ProxyURL(through),
		DisableKeepAlives: true,
		TLSClientConfig:   tlsconfig.MTLSClientConfig(x509, x509, tlsconfig.AuthorizeID(spiffeid.RequireFromString(server))),
	}}
	answer, err := client.Get(address)
	check(err)
	defer answer.Body.Close()
	peer, err := io.ReadAll(answer.Body)
	check(err)
	return report{ID: verified.String(), Serial: svid.Certificates[0].SerialNumber.Text(16), Bundle: bundle.TrustDomain().String(),
		Token: token.Marshal(), TokenID: parsed.ID.String(), Peer: string(peer),
		Authorities: len(bundle.X509Authorities()), Keys: len(keys.JWTAuthorities())}
}

func run(proxy, server, address string, rotations int) {
	ctx, cancel := context.WithTimeout(context.Background(), 3*time.Minute)
	defer cancel()
	x509, err := workloadapi.NewX509Source(ctx)
	check(err)
	defer x509.Close()
	jwt, err := workloadapi.NewJWTSource(ctx)
	check(err)
	defer jwt.Close()
	out := json.NewEncoder(os.Stdout)
	seen := map[string]bool{}
	for len(seen) <= rotations {
		r := look(ctx, x509, jwt, proxy, server, address)
		if !seen[r.Serial] {
			seen[r.Serial] = true
			check(out.Encode(r))
			continue
		}
		check(x509.WaitUntilUpdated(ctx))
	}
}

func ids() {
	in := bufio.NewScanner(os.Stdin)
	in.Buffer(make([]byte, 1<<20), 1<<20)
	out := bufio.NewWriter(os.Stdout)
	defer out.Flush()
	for in.Scan() {
		text, err := hex.DecodeString(in.Text())
		check(err)
		if id, err := spiffeid.FromString(string(text)); err == nil {
			fmt.Fprintln(out, "ok", id.TrustDomain().Name(), id.Path())
		} else {
			fmt.Fprintln(out, "no")
		}
	}
	check(in.Err())
}

func main() {
	args := os.Args[1:]
	switch {
	case len(args) == 3 && args[0] == "server":
		serve(args[1], args[2])
	case len(args) == 5 && args[0] == "client":
		rotations, err := strconv.Atoi(args[4])
		check(err)
		run(args[1], args[2], args[3], rotations)
	case len(args) == 1 && args[0] == "ids":
		ids()
	default:
		fmt.Fprintln(os.Stderr, "usage: see the source")
		os.Exit(2)
	}
}
