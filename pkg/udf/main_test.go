package udf_test

import (
	"testing"

	"gm/cmd"
	"gm/internal/testgm"
)

func TestMain(m *testing.M) { testgm.RunTests(m, cmd.Main) }
