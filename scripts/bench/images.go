//go:build linux

package main

import (
	"bytes"
	"errors"
	"fmt"
	"image"
	"image/color"
	"image/png"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"gm/scripts/peer"
)

// halve is the work of convert on an image, without the times that convert
// writes into it by default.
var halve = []string{"-strip", "-resize", "50%"}

// mapImages has workers halve the images.
func (e *env) mapImages() (f figures, err error) {
	err = e.withImages(func(convert, dir string, names []string) error {
		command := append(append([]string{"--", convert, "png:-"}, halve...), "png:-")
		return e.cluster(command, func(s *peer.Server) error {
			cmd := exec.Command(e.gm, "map", "-s", s.Addr, "--files", "--out", filepath.Join(dir, "out", "{/}"), "-f", batchFunction)
			f, err = e.halved(convert, dir, names, cmd)
			return err
		})
	})
	return f, err
}

// xargsImages halves them two at a time.
func (e *env) xargsImages() (f figures, err error) {
	err = e.withImages(func(convert, dir string, names []string) error {
		// Each reads a file and writes one of the same name in the other
		// directory, as gm's do.
		script := fmt.Sprintf(`exec %s "png:$1" %s "png:%s/out/${1##*/}"`, convert, strings.Join(halve, " "), dir)
		f, err = e.halved(convert, dir, names, exec.Command("xargs", "-P2", "-I{}", "sh", "-c", script, "sh", "{}"))
		return err
	})
	return f, err
}

// halved runs the command that halves the images, whose names are on its stdin,
// and compares some of the results with those of convert.
func (e *env) halved(convert, dir string, names []string, cmd *exec.Cmd) (figures, error) {
	done, err := runBatch(cmd, strings.NewReader(strings.Join(names, "\n")+"\n"))
	if err != nil {
		return nil, err
	}
	for i, name := range names {
		got, err := os.ReadFile(filepath.Join(dir, "out", filepath.Base(name)))
		if err != nil {
			return nil, err
		}
		if i%20 > 0 {
			continue
		}
		want, err := exec.Command(convert, append(append([]string{"png:" + name}, halve...), "png:-")...).Output()
		if err != nil {
			return nil, err
		}
		if !bytes.Equal(got, want) {
			return nil, fmt.Errorf("%s is not what convert makes of it", name)
		}
	}
	return figures{took: micros(done.took) / 1e3}, nil
}

// withImages calls do with a directory of images, and with another one for the
// results.
func (e *env) withImages(do func(convert, dir string, names []string) error) error {
	convert, err := imageMagick()
	if err != nil {
		return err
	}
	// Two at a time must use two threads: more would only compete.
	if err := os.Setenv("MAGICK_THREAD_LIMIT", "1"); err != nil {
		return err
	}
	dir, err := os.MkdirTemp(e.dir, "gm-bench-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	if dir, err = filepath.Abs(dir); err != nil {
		return err
	}
	if err := errors.Join(os.Mkdir(filepath.Join(dir, "in"), 0o755), os.Mkdir(filepath.Join(dir, "out"), 0o755)); err != nil {
		return err
	}
	var names []string
	for i := range e.n(200) {
		name := filepath.Join(dir, "in", fmt.Sprintf("%03d.png", i))
		if err := writeImage(name, i); err != nil {
			return err
		}
		names = append(names, name)
	}
	return do(convert, dir, names)
}

// imageMagick finds convert; other programs have that name as well.
func imageMagick() (string, error) {
	for _, dir := range filepath.SplitList(os.Getenv("PATH")) {
		path := filepath.Join(dir, "convert")
		if out, err := exec.Command(path, "-version").Output(); err == nil && bytes.Contains(out, []byte("ImageMagick")) {
			return path, nil
		}
	}
	return "", fmt.Errorf("%w: no convert of ImageMagick", errSkip)
}

// writeImage writes image i: circles, and no two alike.
func writeImage(name string, i int) error {
	const size = 400
	img := image.NewRGBA(image.Rect(0, 0, size, size))
	for y := range size {
		for x := range size {
			d := (x-size/2)*(x-size/2) + (y-size/2)*(y-size/2)
			img.Set(x, y, color.RGBA{uint8(d / (i + 10)), uint8(x + i), uint8(y), 255})
		}
	}
	var out bytes.Buffer
	if err := png.Encode(&out, img); err != nil {
		return err
	}
	return os.WriteFile(name, out.Bytes(), 0o644)
}
