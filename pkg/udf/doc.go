// Package udf has the SQL functions of Gearman for databases, in C, and only
// tests in Go. Their sources:
//
//   - core: a Gearman client in C that the functions of all databases share;
//   - postgres: the extension gearman for PostgreSQL;
//   - mysql: the loadable functions for MySQL and MariaDB.
//
// The tests build the libraries in a temporary directory, and run them in real
// database servers with gm serve and gearmand.
package udf
