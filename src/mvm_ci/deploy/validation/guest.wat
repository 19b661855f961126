;; The guest of `mvm-ci validate`: does what its input says. Text of WebAssembly; made into a module when it is needed.
;;
;; The input is ["STEPS", ARGUMENT]. A step is a letter and a decimal number. Each step but "z" has one value (one for each child,
;; of "f") of 16 hexadecimal digits; it is written as a line of output, and the result is the JSON text of all of them.
;;
;;   cN  N turns of a generator of numbers, from 1: the last number
;;   t   the wall clock, in milliseconds
;;   r   eight random bytes
;;   zN  sleeps N milliseconds
;;   fN  starts the N children that ARGUMENT describes, waits for each: the beginning of its result
;;   m   waits for a message of the type "go": its text
(module
  (import "mvm_ci_v1" "input_size" (func $input_size (result i32)))
  (import "mvm_ci_v1" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "mvm_ci_v1" "output" (func $output (param i32 i32)))
  (import "mvm_ci_v1" "log" (func $log (param i32 i32)))
  (import "mvm_ci_v1" "sleep_ms" (func $sleep_ms (param i64)))
  (import "mvm_ci_v1" "now_ms" (func $now_ms (result i64)))
  (import "mvm_ci_v1" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "mvm_ci_v1" "call_read" (func $call_read (param i32 i32 i32) (result i32)))
  (import "wasi_snapshot_preview1" "random_get" (func $random_get (param i32 i32) (result i32)))

  ;; 16: random bytes; 64: names and arguments; 512: the topic of a child; 1024: an answer; 8192: the result; 16384: the input.
  (memory (export "memory") 2)
  (data (i32.const 64) "child.start")
  (data (i32.const 80) "wait")
  (data (i32.const 128) "{\"topics\":[\"message:go\"]}")
  (data (i32.const 512) "{\"topics\":[\"child:______________\"]}")
  (global $out (mut i32) (i32.const 8193))

  ;; The 16 digits at $out are the next value.
  (func $written
    (i32.store8 (i32.add (global.get $out) (i32.const 16)) (i32.const 10))
    (call $log (global.get $out) (i32.const 17))
    (global.set $out (i32.add (global.get $out) (i32.const 16))))

  (func $number (param $value i64)
    (local $shift i64) (local $digit i32) (local $at i32)
    (local.set $shift (i64.const 60))
    (local.set $at (global.get $out))
    (loop $next
      (local.set $digit
        (i32.wrap_i64 (i64.and (i64.shr_u (local.get $value) (local.get $shift)) (i64.const 15))))
      (i32.store8 (local.get $at)
        (i32.add (local.get $digit)
          (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (local.set $at (i32.add (local.get $at) (i32.const 1)))
      (local.set $shift (i64.sub (local.get $shift) (i64.const 4)))
      (br_if $next (i64.ge_s (local.get $shift) (i64.const 0))))
    (call $written))

  (func $compute (param $turns i64) (result i64)
    (local $value i64)
    (local.set $value (i64.const 1))
    (block $done
      (loop $next
        (br_if $done (i64.eqz (local.get $turns)))
        (local.set $value
          (i64.add (i64.mul (local.get $value) (i64.const 6364136223846793005)) (i64.const 1442695040888963407)))
        (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
        (br $next)))
    (local.get $value))

  ;; Waits as the document says; the 16 characters of the answer from $from on are the next value.
  (func $wait (param $document i32) (param $size i32) (param $from i32)
    (drop (call $call (i32.const 80) (i32.const 4) (local.get $document) (local.get $size)))
    (drop (call $call_read (global.get $out) (local.get $from) (i32.const 16)))
    (call $written))

  (func $children (param $count i32) (param $argument i32) (param $size i32)
    (local $child i32)
    (drop (call $call (i32.const 64) (i32.const 11) (local.get $argument) (local.get $size)))
    ;; {"ok":{"jobs":["…","…"]}}: the ids have 14 characters.
    (drop (call $call_read (i32.const 1024) (i32.const 0) (i32.const 4096)))
    (local.set $child (i32.const 1040))
    (block $done
      (loop $next
        (br_if $done (i32.eqz (local.get $count)))
        (memory.copy (i32.const 530) (local.get $child) (i32.const 14))
        ;; {"ok":{"topic":"child:…","value":"…"}}
        (call $wait (i32.const 512) (i32.const 35) (i32.const 47))
        (local.set $child (i32.add (local.get $child) (i32.const 17)))
        (local.set $count (i32.sub (local.get $count) (i32.const 1)))
        (br $next))))

  (func (export "run") (result i32)
    (local $at i32) (local $end i32) (local $argument i32) (local $step i32) (local $digit i32) (local $n i64)
    (local.set $at (i32.const 16386))
    (local.set $end
      (i32.add (i32.const 16384) (call $input_read (i32.const 16384) (i32.const 0) (call $input_size))))
    ;; The argument stands between the comma after the steps and the last bracket.
    (local.set $argument (local.get $at))
    (loop $look
      (local.set $argument (i32.add (local.get $argument) (i32.const 1)))
      (br_if $look (i32.ne (i32.load8_u (i32.sub (local.get $argument) (i32.const 1))) (i32.const 34))))
    (local.set $argument (i32.add (local.get $argument) (i32.const 1)))
    (block $over
      (loop $next
        (local.set $step (i32.load8_u (local.get $at)))
        (br_if $over (i32.eq (local.get $step) (i32.const 34)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (local.set $n (i64.const 0))
        (block $read
          (loop $digits
            (local.set $digit (i32.sub (i32.load8_u (local.get $at)) (i32.const 48)))
            (br_if $read (i32.gt_u (local.get $digit) (i32.const 9)))
            (local.set $n
              (i64.add (i64.mul (local.get $n) (i64.const 10)) (i64.extend_i32_u (local.get $digit))))
            (local.set $at (i32.add (local.get $at) (i32.const 1)))
            (br $digits)))
        (if (i32.eq (local.get $step) (i32.const 99)) (then (call $number (call $compute (local.get $n)))))
        (if (i32.eq (local.get $step) (i32.const 116)) (then (call $number (call $now_ms))))
        (if (i32.eq (local.get $step) (i32.const 114))
          (then
            (drop (call $random_get (i32.const 16) (i32.const 8)))
            (call $number (i64.load (i32.const 16)))))
        (if (i32.eq (local.get $step) (i32.const 122)) (then (call $sleep_ms (local.get $n))))
        (if (i32.eq (local.get $step) (i32.const 102))
          (then
            (call $children (i32.wrap_i64 (local.get $n)) (local.get $argument)
              (i32.sub (i32.sub (local.get $end) (i32.const 1)) (local.get $argument)))))
        (if (i32.eq (local.get $step) (i32.const 109))
          ;; {"ok":{"topic":"message:go","value":"…"}}
          (then (call $wait (i32.const 128) (i32.const 25) (i32.const 37))))
        (br $next)))
    (i32.store8 (i32.const 8192) (i32.const 34))
    (i32.store8 (global.get $out) (i32.const 34))
    (call $output (i32.const 8192) (i32.sub (i32.add (global.get $out) (i32.const 1)) (i32.const 8192)))
    (i32.const 0)))
