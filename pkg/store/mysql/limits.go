package mysql

import (
	"context"
	"fmt"
	"math"
	"strconv"

	"gm/pkg/store"
)

// limits are the sizes in bytes that the server and the columns set.
type limits struct {
	packet int // the server's max_allowed_packet
	data   int // of the column data
	name   int // of the smallest of reducer, gm_unique and gm_function
	key    int // of the extras' column name
	value  int // of the extras' column value
}

const (
	// minPacket is the smallest max_allowed_packet of a server that a store is
	// opened on.
	minPacket = 256 << 10
	// packetRest is the part of a packet for everything except one value.
	packetRest = 64 << 10
)

// Caps implements [sqlstore.Database]. The store promises everything, with limits
// for values that do not fit into one of the server's packets
// (max_allowed_packet) or into the tables' columns.
func (db *database) Caps() store.Caps {
	l := db.limits()
	value := l.packet - packetRest
	return store.Caps{
		Durable: true, Atomic: true, Lists: true,
		MaxPayload: min(value, l.data), MaxValue: min(value, l.value), MaxKey: l.key, MaxName: l.name,
	}
}

// limits returns the limits of the newest session.
func (db *database) limits() *limits { return db.current.Load() }

// readLimits asks for the limits, which an administrator may have changed since the
// last session.
func (db *database) readLimits(ctx context.Context, s *session) error {
	found, err := s.query(ctx, "SELECT @@max_allowed_packet")
	if err != nil {
		return fmt.Errorf("max_allowed_packet: %w", err)
	}
	l := &limits{}
	if l.packet, err = strconv.Atoi(string(found[0][0])); err != nil {
		return fmt.Errorf("max_allowed_packet: %w", err)
	}
	if l.packet < minPacket {
		return fmt.Errorf("the server's max_allowed_packet of %d bytes is below the minimum of %d", l.packet, minPacket)
	}
	sizes, err := db.columnSizes(ctx, s)
	if err != nil {
		return err
	}
	l.data, l.key, l.value = sizes["data"], sizes["_gm.name"], sizes["_gm.value"]
	l.name = min(sizes["reducer"], sizes["gm_unique"], sizes["gm_function"])
	db.current.Store(l)
	return nil
}

// columnSizes returns the maximum sizes in bytes of the columns by their names, with
// _gm. before the names of the columns of extras. A missing column has no limit.
func (db *database) columnSizes(ctx context.Context, s *session) (map[string]int, error) {
	found, err := s.query(ctx, fmt.Sprintf("SELECT CONCAT(IF(table_name = '%[1]s', '', '_gm.'), LOWER(column_name)), character_octet_length "+
		"FROM information_schema.columns WHERE table_schema = DATABASE() AND table_name IN ('%[1]s', '%[1]s_gm')", db.table))
	if err != nil {
		return nil, fmt.Errorf("sizes of columns: %w", err)
	}
	sizes := make(map[string]int)
	for _, name := range []string{"data", "reducer", "gm_unique", "gm_function", "_gm.name", "_gm.value"} {
		sizes[name] = math.MaxInt32
	}
	for _, row := range found {
		if n, err := strconv.ParseInt(string(row[1]), 10, 64); err == nil {
			sizes[string(row[0])] = int(min(n, math.MaxInt32))
		}
	}
	return sizes, nil
}
