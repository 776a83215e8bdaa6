package server

import (
	"bytes"
	"errors"
	"slices"
	"strings"
)

// errHTTP ends a connection that speaks HTTP. A web page can make a browser
// send a POST to this port; its body must not be run as commands and packets.
var errHTTP = errors.New("speaks HTTP")

// replyHTTP answers the first line of HTTP.
const replyHTTP = "ERR HTTP This+is+a+Gearman+server\r\n"

// httpMethods are the methods of RFC 9110 and of WebDAV. None of them begins
// the name of a command.
var httpMethods = []string{
	"GET", "HEAD", "POST", "PUT", "DELETE", "CONNECT", "OPTIONS", "TRACE", "PATCH",
	"PROPFIND", "PROPPATCH", "MKCOL", "COPY", "MOVE", "LOCK", "UNLOCK", "PRI",
}

// httpHeaders are the names of header lines that clients send, in lower case.
var httpHeaders = []string{
	"host", "origin", "referer", "user-agent", "cookie", "connection", "cache-control", "pragma", "upgrade",
	"upgrade-insecure-requests", "authorization", "transfer-encoding", "te", "trailer", "dnt", "date", "expect",
	"range", "via", "forwarded", "keep-alive", "from", "max-forwards", "priority", "save-data", "alt-used",
	"purpose", "warning", "http2-settings",
}

// httpPrefixes begin the names of further header lines.
var httpPrefixes = []string{"accept", "content-", "sec-", "x-", "if-", "proxy-", "access-control-", "device-", "cf-"}

// isHTTP reports whether a line is one of an HTTP request: METHOD TARGET
// HTTP/VERSION, METHOD TARGET, or a header line such as Host: NAME. Case does
// not matter.
func isHTTP(line []byte) bool {
	words := bytes.Fields(line)
	if len(words) == 0 {
		return false
	}
	if isHTTPVersion(words[0]) || len(words) > 1 && isHTTPVersion(words[len(words)-1]) {
		return true
	}
	if name, _, ok := bytes.Cut(words[0], []byte{':'}); ok {
		return isHTTPHeader(strings.ToLower(string(name)))
	}
	if len(words) < 2 || !slices.Contains(httpMethods, strings.ToUpper(string(words[0]))) {
		return false
	}
	target := words[1]
	return target[0] == '/' || target[0] == '*' || bytes.Contains(target, []byte("://"))
}

func isHTTPVersion(word []byte) bool {
	return len(word) > 5 && strings.EqualFold(string(word[:5]), "HTTP/") && '0' <= word[5] && word[5] <= '9'
}

func isHTTPHeader(name string) bool {
	return slices.Contains(httpHeaders, name) ||
		slices.ContainsFunc(httpPrefixes, func(p string) bool { return strings.HasPrefix(name, p) })
}

// refuseHTTP answers a line of HTTP. Nothing after it is read.
func (c *conn) refuseHTTP() error {
	c.reply().sendText([]byte(replyHTTP))
	return errHTTP
}
