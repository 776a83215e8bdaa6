package mysqlconfig

import (
	"strings"
	"testing"
	"time"

	"gm/pkg/store"
)

func TestFromURL(t *testing.T) {
	for _, tc := range []struct {
		url  string
		want Config
		net  string
		err  string // a part of it
	}{
		{url: "mysql://u:p@h:3307/d", want: Config{Addr: "h:3307", User: "u", Password: "p", DB: "d"}, net: "tcp"},
		{url: "mysql://u@[::1]/d?tls=true&table=t", want: Config{Addr: "[::1]:3306", User: "u", DB: "d", TLS: "true"}, net: "tcp"},
		{url: "mysql:///d?socket=/run/s", want: Config{Addr: "/run/s", DB: "d"}, net: "unix"},
		{url: "mysql://h", err: "no database"},
		{url: "mysql://h/d?tls=maybe", err: `tls "maybe"`},
		{url: "mysql://h/d?colour=red", err: `unknown option "colour"`},
		{url: "mysql:d", err: "not like mysql://host/db"},
	} {
		t.Run(tc.url, func(t *testing.T) {
			u, err := store.ParseURL(tc.url)
			if err != nil {
				t.Fatal(err)
			}
			got, options, err := FromURL(u, "table")
			network := ""
			if err == nil {
				driver, fail := got.Driver(time.Second)
				if err = fail; err == nil {
					network = driver.Net
				}
			}
			if tc.err != "" {
				if err == nil || !strings.Contains(err.Error(), tc.err) {
					t.Errorf("got error %v, want %q", err, tc.err)
				}
				return
			}
			if err != nil || got != tc.want || network != tc.net || options.Get("table") != u.Query.Get("table") {
				t.Errorf("got %+v, %q, %v, want %+v, %q", got, network, err, tc.want, tc.net)
			}
		})
	}
}
