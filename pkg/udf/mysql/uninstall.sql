-- uninstall.sql removes the functions of install.sql. The server unloads the
-- library, and its connections end, when no statement uses them any more.
DROP FUNCTION IF EXISTS gman_servers_set;
DROP FUNCTION IF EXISTS gman_setting;
DROP FUNCTION IF EXISTS gman_do;
DROP FUNCTION IF EXISTS gman_do_high;
DROP FUNCTION IF EXISTS gman_do_low;
DROP FUNCTION IF EXISTS gman_do_background;
DROP FUNCTION IF EXISTS gman_do_high_background;
DROP FUNCTION IF EXISTS gman_do_low_background;
DROP FUNCTION IF EXISTS gman_status;
DROP FUNCTION IF EXISTS gman_result;
DROP FUNCTION IF EXISTS gman_sum;
DROP FUNCTION IF EXISTS gman_version;
