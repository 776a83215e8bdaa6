package systest

import (
	"go/ast"
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

// A reader can copy the body of every example into a function: it uses no name that
// the test files declare outside it.
func TestExamplesUseNoHelpers(t *testing.T) {
	examples := 0
	err := filepath.WalkDir("../../pkg", func(dir string, entry fs.DirEntry, err error) error {
		if err != nil || !entry.IsDir() {
			return err
		}
		for _, use := range helpersInExamples(t, dir, &examples) {
			t.Errorf("%s", use)
		}
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	if examples < 10 {
		t.Errorf("found only %d examples", examples)
	}
}

// helpersInExamples returns the uses of names from outside in the examples of the
// package in dir, and counts the examples.
func helpersInExamples(t *testing.T, dir string, examples *int) (uses []string) {
	t.Helper()
	names, err := filepath.Glob(filepath.Join(dir, "*_test.go"))
	if err != nil {
		t.Fatal(err)
	}
	fset := token.NewFileSet()
	var found []*ast.FuncDecl
	declared := map[string]bool{}
	for _, name := range names {
		file, err := parser.ParseFile(fset, name, nil, parser.SkipObjectResolution)
		if err != nil {
			t.Fatal(err)
		}
		for _, decl := range file.Decls {
			if f, ok := decl.(*ast.FuncDecl); ok && strings.HasPrefix(f.Name.Name, "Example") {
				found = append(found, f)
				continue
			}
			addDeclared(declared, decl)
		}
	}
	*examples += len(found)
	for _, f := range found {
		local := map[string]bool{}
		ast.Inspect(f.Body, func(n ast.Node) bool { addLocal(local, n); return true })
		fields := map[*ast.Ident]bool{} // names after a dot or before a colon
		ast.Inspect(f.Body, func(n ast.Node) bool {
			switch n := n.(type) {
			case *ast.SelectorExpr:
				fields[n.Sel] = true
			case *ast.KeyValueExpr:
				if name, ok := n.Key.(*ast.Ident); ok {
					fields[name] = true
				}
			case *ast.Ident:
				if declared[n.Name] && !local[n.Name] && !fields[n] {
					uses = append(uses, fset.Position(n.Pos()).String()+": "+f.Name.Name+" uses "+n.Name)
				}
			}
			return true
		})
	}
	return uses
}

// addDeclared adds the names that a declaration of a file makes known to the package.
func addDeclared(declared map[string]bool, decl ast.Decl) {
	switch decl := decl.(type) {
	case *ast.FuncDecl:
		if decl.Recv == nil {
			declared[decl.Name.Name] = true
		}
	case *ast.GenDecl:
		for _, spec := range decl.Specs {
			switch spec := spec.(type) {
			case *ast.TypeSpec:
				declared[spec.Name.Name] = true
			case *ast.ValueSpec:
				for _, name := range spec.Names {
					declared[name.Name] = true
				}
			}
		}
	}
}

// addLocal adds the names that a statement or a function declares in an example.
func addLocal(local map[string]bool, n ast.Node) {
	switch n := n.(type) {
	case *ast.AssignStmt:
		for _, left := range n.Lhs {
			if name, ok := left.(*ast.Ident); ok && n.Tok == token.DEFINE {
				local[name.Name] = true
			}
		}
	case *ast.RangeStmt:
		for _, left := range []ast.Expr{n.Key, n.Value} {
			if name, ok := left.(*ast.Ident); ok {
				local[name.Name] = true
			}
		}
	case *ast.Field:
		for _, name := range n.Names {
			local[name.Name] = true
		}
	case *ast.ValueSpec:
		for _, name := range n.Names {
			local[name.Name] = true
		}
	case *ast.TypeSpec:
		local[n.Name.Name] = true
	}
}
