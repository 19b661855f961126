;; A component that uses what no C library of Python does: the other functions of streams, files and pollables.
;; Its `run` answers with one letter for each number that it learned (0 is `0`, 9 is `9`, 10 is `:` and so on), and
;; with the bytes that it read.
(component
  (import "wasi:io/error@0.2.0" (instance $error
    (export "error" (type $error (sub resource)))
    (export "[method]error.to-debug-string" (func (param "self" (borrow $error)) (result string)))))
  (alias export $error "error" (type $error))
  (import "wasi:io/poll@0.2.0" (instance $poll
    (export "pollable" (type $pollable (sub resource)))
    (export "[method]pollable.ready" (func (param "self" (borrow $pollable)) (result bool)))
    (export "[method]pollable.block" (func (param "self" (borrow $pollable))))
    (export "poll" (func (param "in" (list (borrow $pollable))) (result (list u32))))))
  (alias export $poll "pollable" (type $pollable))
  (import "wasi:clocks/monotonic-clock@0.2.0" (instance $clock
    (alias outer 1 $pollable (type $outer)) (export "pollable" (type $pollable (eq $outer)))
    (export "subscribe-instant" (func (param "when" u64) (result (own $pollable))))
    (export "subscribe-duration" (func (param "when" u64) (result (own $pollable))))))
  (import "wasi:io/streams@0.2.0" (instance $streams
    (alias outer 1 $error (type $outer-error)) (export "error" (type $error (eq $outer-error)))
    (alias outer 1 $pollable (type $outer-pollable)) (export "pollable" (type $pollable (eq $outer-pollable)))
    (export "input-stream" (type $input (sub resource)))
    (export "output-stream" (type $output (sub resource)))
    (type $failed (variant (case "last-operation-failed" (own $error)) (case "closed")))
    (export "stream-error" (type $failure (eq $failed)))
    (type $bytes (result (list u8) (error $failure)))
    (type $number (result u64 (error $failure)))
    (type $done (result (error $failure)))
    (export "[method]input-stream.blocking-read"
      (func (param "self" (borrow $input)) (param "len" u64) (result $bytes)))
    (export "[method]input-stream.skip" (func (param "self" (borrow $input)) (param "len" u64) (result $number)))
    (export "[method]input-stream.blocking-skip"
      (func (param "self" (borrow $input)) (param "len" u64) (result $number)))
    (export "[method]input-stream.subscribe" (func (param "self" (borrow $input)) (result (own $pollable))))
    (export "[method]output-stream.check-write" (func (param "self" (borrow $output)) (result $number)))
    (export "[method]output-stream.write"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result $done)))
    (export "[method]output-stream.blocking-write-and-flush"
      (func (param "self" (borrow $output)) (param "contents" (list u8)) (result $done)))
    (export "[method]output-stream.flush" (func (param "self" (borrow $output)) (result $done)))
    (export "[method]output-stream.write-zeroes"
      (func (param "self" (borrow $output)) (param "len" u64) (result $done)))
    (export "[method]output-stream.blocking-write-zeroes-and-flush"
      (func (param "self" (borrow $output)) (param "len" u64) (result $done)))
    (export "[method]output-stream.splice"
      (func (param "self" (borrow $output)) (param "src" (borrow $input)) (param "len" u64) (result $number)))
    (export "[method]output-stream.blocking-splice"
      (func (param "self" (borrow $output)) (param "src" (borrow $input)) (param "len" u64) (result $number)))
    (export "[method]output-stream.subscribe" (func (param "self" (borrow $output)) (result (own $pollable))))))
  (alias export $streams "input-stream" (type $input))
  (alias export $streams "output-stream" (type $output))
  (import "wasi:cli/stdin@0.2.0" (instance $stdin
    (alias outer 1 $input (type $outer)) (export "input-stream" (type $input (eq $outer)))
    (export "get-stdin" (func (result (own $input))))))
  (import "wasi:cli/stdout@0.2.0" (instance $stdout
    (alias outer 1 $output (type $outer)) (export "output-stream" (type $output (eq $outer)))
    (export "get-stdout" (func (result (own $output))))))
  (import "wasi:filesystem/types@0.2.0" (instance $files
    (alias outer 1 $error (type $outer-error)) (export "error" (type $error (eq $outer-error)))
    (alias outer 1 $input (type $outer-input)) (export "input-stream" (type $input (eq $outer-input)))
    (alias outer 1 $output (type $outer-output)) (export "output-stream" (type $output (eq $outer-output)))
    (export "descriptor" (type $descriptor (sub resource)))
    (type $codes (enum "access" "would-block" "already" "bad-descriptor" "busy" "deadlock" "quota" "exist"
      "file-too-large" "illegal-byte-sequence" "in-progress" "interrupted" "invalid" "io" "is-directory" "loop"
      "too-many-links" "message-size" "name-too-long" "no-device" "no-entry" "no-lock" "insufficient-memory"
      "insufficient-space" "not-directory" "not-empty" "not-recoverable" "unsupported" "no-tty" "no-such-device"
      "overflow" "not-permitted" "pipe" "read-only" "invalid-seek" "text-file-busy" "cross-device"))
    (export "error-code" (type $code (eq $codes)))
    (type $kinds (enum "unknown" "block-device" "character-device" "directory" "fifo" "symbolic-link"
      "regular-file" "socket"))
    (export "descriptor-type" (type $kind (eq $kinds)))
    (type $follows (flags "symlink-follow"))
    (export "path-flags" (type $follow (eq $follows)))
    (type $hows (flags "create" "directory" "exclusive" "truncate"))
    (export "open-flags" (type $how (eq $hows)))
    (type $cans (flags "read" "write" "file-integrity-sync" "data-integrity-sync" "requested-write-sync"
      "mutate-directory"))
    (export "descriptor-flags" (type $can (eq $cans)))
    (export "[method]descriptor.open-at" (func (param "self" (borrow $descriptor)) (param "path-flags" $follow)
      (param "path" string) (param "open-flags" $how) (param "flags" $can)
      (result (result (own $descriptor) (error $code)))))
    (export "[method]descriptor.is-same-object"
      (func (param "self" (borrow $descriptor)) (param "other" (borrow $descriptor)) (result bool)))
    (export "[method]descriptor.get-type"
      (func (param "self" (borrow $descriptor)) (result (result $kind (error $code)))))
    (export "[method]descriptor.write" (func (param "self" (borrow $descriptor)) (param "buffer" (list u8))
      (param "offset" u64) (result (result u64 (error $code)))))
    (export "[method]descriptor.read" (func (param "self" (borrow $descriptor)) (param "length" u64)
      (param "offset" u64) (result (result (tuple (list u8) bool) (error $code)))))
    (export "[method]descriptor.read-via-stream" (func (param "self" (borrow $descriptor)) (param "offset" u64)
      (result (result (own $input) (error $code)))))
    (export "[method]descriptor.write-via-stream" (func (param "self" (borrow $descriptor)) (param "offset" u64)
      (result (result (own $output) (error $code)))))
    (export "[method]descriptor.append-via-stream" (func (param "self" (borrow $descriptor))
      (result (result (own $output) (error $code)))))
    (export "filesystem-error-code" (func (param "err" (borrow $error)) (result (option $code))))))
  (alias export $files "descriptor" (type $descriptor))
  (import "wasi:filesystem/preopens@0.2.0" (instance $preopens
    (alias outer 1 $descriptor (type $outer)) (export "descriptor" (type $descriptor (eq $outer)))
    (export "get-directories" (func (result (list (tuple (own $descriptor) string)))))))

  (core module $allocator
    (memory (export "memory") 2)
    (global $next (mut i32) (i32.const 65536))
    (func (export "realloc") (param i32 i32 i32 i32) (result i32)
      (global.set $next (i32.and (i32.add (global.get $next) (i32.const 7)) (i32.const -8)))
      (global.get $next)
      (global.set $next (i32.add (global.get $next) (local.get 3)))))
  (core instance $a (instantiate $allocator))
  (alias core export $a "memory" (core memory $memory))
  (alias core export $a "realloc" (core func $realloc))
  (core func $dirs (canon lower (func $preopens "get-directories") (memory $memory) (realloc $realloc)))
  (core func $open (canon lower (func $files "[method]descriptor.open-at") (memory $memory) (realloc $realloc)))
  (core func $same
    (canon lower (func $files "[method]descriptor.is-same-object") (memory $memory) (realloc $realloc)))
  (core func $type (canon lower (func $files "[method]descriptor.get-type") (memory $memory) (realloc $realloc)))
  (core func $put (canon lower (func $files "[method]descriptor.write") (memory $memory) (realloc $realloc)))
  (core func $get (canon lower (func $files "[method]descriptor.read") (memory $memory) (realloc $realloc)))
  (core func $reader
    (canon lower (func $files "[method]descriptor.read-via-stream") (memory $memory) (realloc $realloc)))
  (core func $writer
    (canon lower (func $files "[method]descriptor.write-via-stream") (memory $memory) (realloc $realloc)))
  (core func $appender
    (canon lower (func $files "[method]descriptor.append-via-stream") (memory $memory) (realloc $realloc)))
  (core func $code (canon lower (func $files "filesystem-error-code") (memory $memory) (realloc $realloc)))
  (core func $read
    (canon lower (func $streams "[method]input-stream.blocking-read") (memory $memory) (realloc $realloc)))
  (core func $skip (canon lower (func $streams "[method]input-stream.skip") (memory $memory) (realloc $realloc)))
  (core func $bskip
    (canon lower (func $streams "[method]input-stream.blocking-skip") (memory $memory) (realloc $realloc)))
  (core func $rsub
    (canon lower (func $streams "[method]input-stream.subscribe") (memory $memory) (realloc $realloc)))
  (core func $check
    (canon lower (func $streams "[method]output-stream.check-write") (memory $memory) (realloc $realloc)))
  (core func $write (canon lower (func $streams "[method]output-stream.write") (memory $memory) (realloc $realloc)))
  (core func $bwrite
    (canon lower (func $streams "[method]output-stream.blocking-write-and-flush")
      (memory $memory) (realloc $realloc)))
  (core func $flush (canon lower (func $streams "[method]output-stream.flush") (memory $memory) (realloc $realloc)))
  (core func $zeros
    (canon lower (func $streams "[method]output-stream.write-zeroes") (memory $memory) (realloc $realloc)))
  (core func $bzeros
    (canon lower (func $streams "[method]output-stream.blocking-write-zeroes-and-flush")
      (memory $memory) (realloc $realloc)))
  (core func $splice
    (canon lower (func $streams "[method]output-stream.splice") (memory $memory) (realloc $realloc)))
  (core func $bsplice
    (canon lower (func $streams "[method]output-stream.blocking-splice") (memory $memory) (realloc $realloc)))
  (core func $wsub
    (canon lower (func $streams "[method]output-stream.subscribe") (memory $memory) (realloc $realloc)))
  (core func $stdin (canon lower (func $stdin "get-stdin") (memory $memory) (realloc $realloc)))
  (core func $stdout (canon lower (func $stdout "get-stdout") (memory $memory) (realloc $realloc)))
  (core func $ready (canon lower (func $poll "[method]pollable.ready") (memory $memory) (realloc $realloc)))
  (core func $block (canon lower (func $poll "[method]pollable.block") (memory $memory) (realloc $realloc)))
  (core func $poll (canon lower (func $poll "poll") (memory $memory) (realloc $realloc)))
  (core func $until (canon lower (func $clock "subscribe-instant") (memory $memory) (realloc $realloc)))
  (core func $during (canon lower (func $clock "subscribe-duration") (memory $memory) (realloc $realloc)))
  (core func $debug (canon lower (func $error "[method]error.to-debug-string") (memory $memory) (realloc $realloc)))
  (core func $drop-pollable (canon resource.drop $pollable))

  (core func $drop-input (canon resource.drop $input))

  (core func $drop-output (canon resource.drop $output))

  (core func $drop-descriptor (canon resource.drop $descriptor))
  (core module $module
    (import "a" "memory" (memory 2))
    (import "" "dirs" (func $dirs (param i32)))
    (import "" "open" (func $open (param i32 i32 i32 i32 i32 i32 i32)))
    (import "" "same" (func $same (param i32 i32) (result i32)))
    (import "" "type" (func $type (param i32 i32)))
    (import "" "put" (func $put (param i32 i32 i32 i64 i32)))
    (import "" "get" (func $get (param i32 i64 i64 i32)))
    (import "" "reader" (func $reader (param i32 i64 i32)))
    (import "" "writer" (func $writer (param i32 i64 i32)))
    (import "" "appender" (func $appender (param i32 i32)))
    (import "" "code" (func $code (param i32 i32)))
    (import "" "read" (func $read (param i32 i64 i32)))
    (import "" "skip" (func $skip (param i32 i64 i32)))
    (import "" "bskip" (func $bskip (param i32 i64 i32)))
    (import "" "rsub" (func $rsub (param i32) (result i32)))
    (import "" "check" (func $check (param i32 i32)))
    (import "" "write" (func $write (param i32 i32 i32 i32)))
    (import "" "bwrite" (func $bwrite (param i32 i32 i32 i32)))
    (import "" "flush" (func $flush (param i32 i32)))
    (import "" "zeros" (func $zeros (param i32 i64 i32)))
    (import "" "bzeros" (func $bzeros (param i32 i64 i32)))
    (import "" "splice" (func $splice (param i32 i32 i64 i32)))
    (import "" "bsplice" (func $bsplice (param i32 i32 i64 i32)))
    (import "" "wsub" (func $wsub (param i32) (result i32)))
    (import "" "stdin" (func $stdin  (result i32)))
    (import "" "stdout" (func $stdout  (result i32)))
    (import "" "ready" (func $ready (param i32) (result i32)))
    (import "" "block" (func $block (param i32)))
    (import "" "poll" (func $poll (param i32 i32 i32)))
    (import "" "until" (func $until (param i64) (result i32)))
    (import "" "during" (func $during (param i64) (result i32)))
    (import "" "debug" (func $debug (param i32 i32)))
    (import "" "drop-pollable" (func $drop-pollable (param i32)))
    (import "" "drop-input" (func $drop-input (param i32)))
    (import "" "drop-output" (func $drop-output (param i32)))
    (import "" "drop-descriptor" (func $drop-descriptor (param i32)))

    ;; 64: where results go; 1024: texts; 2048: the answer
    (global $end (mut i32) (i32.const 2048))
    (data (i32.const 1024) "xyabcdef!hello\n")
    (func $say (param i32)
      (i32.store8 (global.get $end) (i32.add (i32.const 48) (local.get 0)))
      (global.set $end (i32.add (global.get $end) (i32.const 1))))
    (func $say-bytes (param $at i32) (param $size i32)
      (memory.copy (global.get $end) (local.get $at) (local.get $size))
      (global.set $end (i32.add (global.get $end) (local.get $size))))
    ;; whether the last result was good (0), and its number
    (func $was (call $say (i32.load8_u (i32.const 64))))
    (func $was32 (call $was) (call $say (i32.load8_u offset=4 (i32.const 64))))
    (func $was64 (call $was) (call $say (i32.load8_u offset=8 (i32.const 64))))
    (func $was-bytes (call $was)
      (call $say-bytes (i32.load offset=4 (i32.const 64)) (i32.load offset=8 (i32.const 64))))
    (func $ready-and-gone (param i32)
      (call $say (call $ready (local.get 0)))
      (call $block (local.get 0))
      (call $drop-pollable (local.get 0)))
    ;; polls as many as are listed at 200
    (func $polled (param i32)
      (call $poll (i32.const 200) (local.get 0) (i32.const 64))
      (call $say (i32.load offset=4 (i32.const 64)))
      (call $say (i32.load (i32.load (i32.const 64)))))

    (func (export "run") (param i32 i32) (result i32)
      (local $root i32) (local $x i32) (local $y i32) (local $out i32) (local $in i32)
      (call $dirs (i32.const 64))
      (local.set $root (i32.load (i32.load (i32.const 64))))
      (call $open (local.get $root) (i32.const 0) (i32.const 1024)
        (i32.const 1) (i32.const 1) (i32.const 3) (i32.const 64))
      (call $was)
      (local.set $x (i32.load offset=4 (i32.const 64)))
      (call $say (call $same (local.get $root) (local.get $root)))
      (call $say (call $same (local.get $root) (local.get $x)))
      (call $type (local.get $x) (i32.const 64)) (call $was) (call $say (i32.load8_u offset=1 (i32.const 64)))

      ;; writing: abcdef, four zeros
      (call $writer (local.get $x) (i64.const 0) (i32.const 64)) (call $was)
      (local.set $out (i32.load offset=4 (i32.const 64)))
      (call $bwrite (local.get $out) (i32.const 1026) (i32.const 6) (i32.const 64)) (call $was)
      (call $zeros (local.get $out) (i64.const 3) (i32.const 64)) (call $was)
      (call $bzeros (local.get $out) (i64.const 1) (i32.const 64)) (call $was)
      (call $flush (local.get $out) (i32.const 64)) (call $was)
      (call $ready-and-gone (call $wsub (local.get $out)))
      (call $drop-output (local.get $out))
      (call $put (local.get $x) (i32.const 1032) (i32.const 1) (i64.const 5) (i32.const 64)) (call $was64)
      (call $get (local.get $x) (i64.const 4) (i64.const 2) (i32.const 64)) (call $was-bytes)
      (call $say (i32.load8_u offset=12 (i32.const 64)))

      ;; reading: ab, two and one passed by, the rest goes to another file
      (call $reader (local.get $x) (i64.const 0) (i32.const 64)) (call $was)
      (local.set $in (i32.load offset=4 (i32.const 64)))
      (call $read (local.get $in) (i64.const 2) (i32.const 64)) (call $was-bytes)
      (call $skip (local.get $in) (i64.const 2) (i32.const 64)) (call $was64)
      (call $bskip (local.get $in) (i64.const 1) (i32.const 64)) (call $was64)
      (call $ready-and-gone (call $rsub (local.get $in)))
      (call $open (local.get $root) (i32.const 0) (i32.const 1025)
        (i32.const 1) (i32.const 1) (i32.const 3) (i32.const 64))
      (local.set $y (i32.load offset=4 (i32.const 64)))
      (call $appender (local.get $y) (i32.const 64))
      (local.set $out (i32.load offset=4 (i32.const 64)))
      (call $splice (local.get $out) (local.get $in) (i64.const 2) (i32.const 64)) (call $was64)
      (call $bsplice (local.get $out) (local.get $in) (i64.const 100) (i32.const 64)) (call $was64)
      ;; an error: closed
      (call $bsplice (local.get $out) (local.get $in) (i64.const 100) (i32.const 64)) (call $was)
      (call $say (i32.load8_u offset=8 (i32.const 64)))
      (call $drop-input (local.get $in))

      ;; no more room: an error to look into
      (call $check (local.get $out) (i32.const 64)) (call $was64)
      (call $write (local.get $out) (i32.const 1024) (i32.const 14) (i32.const 64)) (call $was)
      (call $say (i32.load8_u offset=4 (i32.const 64)))
      (call $code (i32.load offset=8 (i32.const 64)) (i32.const 96))
      (call $say (i32.load8_u (i32.const 96))) (call $say (i32.load8_u offset=1 (i32.const 96)))
      (call $debug (i32.load offset=8 (i32.const 64)) (i32.const 96))
      (call $say-bytes (i32.load (i32.const 96)) (i32.load offset=4 (i32.const 96)))
      (call $check (local.get $out) (i32.const 64)) (call $was)
      (call $drop-output (local.get $out))

      ;; a descriptor for reading gives no stream to write to
      (call $open (local.get $root) (i32.const 0) (i32.const 1024)
        (i32.const 1) (i32.const 0) (i32.const 1) (i32.const 64))
      (call $writer (i32.load offset=4 (i32.const 64)) (i64.const 0) (i32.const 64)) (call $was)
      (call $say (i32.load8_u offset=4 (i32.const 64)))

      ;; what is printed, and what there is to read
      (call $bwrite (call $stdout) (i32.const 1033) (i32.const 6) (i32.const 64)) (call $was)
      (call $read (call $stdin) (i64.const 9) (i32.const 64)) (call $was)
      (call $say (i32.load8_u offset=4 (i32.const 64)))

      ;; what is ready is told without waiting; of several times the earliest one is waited for
      (i32.store offset=200 (i32.const 0) (call $during (i64.const 1000000)))
      (i32.store offset=204 (i32.const 0) (call $wsub (call $stdout)))
      (call $polled (i32.const 2))
      (i32.store offset=200 (i32.const 0) (call $until (i64.const 90000000)))
      (i32.store offset=204 (i32.const 0) (call $during (i64.const 50000000)))
      (call $say (call $ready (i32.load (i32.const 204))))
      (call $polled (i32.const 2))
      (call $say (call $ready (i32.load (i32.const 204))))
      (call $say (call $ready (i32.load (i32.const 200))))
      (call $polled (i32.const 1))
      (call $block (call $during (i64.const 7)))
      (call $drop-descriptor (local.get $x))
      (call $drop-descriptor (local.get $y))

      (i32.store8 (i32.const 128) (i32.const 0))
      (i32.store offset=4 (i32.const 128) (i32.const 2048))
      (i32.store offset=8 (i32.const 128) (i32.sub (global.get $end) (i32.const 2048)))
      (i32.const 128)))
  (core instance $instance (instantiate $module
    (with "a" (instance $a)) (with "" (instance (export "dirs" (func $dirs)) (export "open" (func $open))
    (export "same" (func $same)) (export "type" (func $type)) (export "put" (func $put)) (export "get" (func
    $get)) (export "reader" (func $reader)) (export "writer" (func $writer)) (export "appender" (func
    $appender)) (export "code" (func $code)) (export "read" (func $read)) (export "skip" (func $skip)) (export
    "bskip" (func $bskip)) (export "rsub" (func $rsub)) (export "check" (func $check)) (export "write" (func
    $write)) (export "bwrite" (func $bwrite)) (export "flush" (func $flush)) (export "zeros" (func $zeros))
    (export "bzeros" (func $bzeros)) (export "splice" (func $splice)) (export "bsplice" (func $bsplice)) (export
    "wsub" (func $wsub)) (export "stdin" (func $stdin)) (export "stdout" (func $stdout)) (export "ready" (func
    $ready)) (export "block" (func $block)) (export "poll" (func $poll)) (export "until" (func $until)) (export
    "during" (func $during)) (export "debug" (func $debug)) (export "drop-pollable" (func $drop-pollable))
    (export "drop-input" (func $drop-input)) (export "drop-output" (func $drop-output)) (export
    "drop-descriptor" (func $drop-descriptor))))))
  (func $run (param "input" string) (result (result string (error string)))
    (canon lift (core func $instance "run") (memory $memory) (realloc $realloc)))
  (export "run" (func $run)))
