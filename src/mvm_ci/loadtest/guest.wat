;; The guest of `mvm-ci loadtest`: does what its input says. Text of WebAssembly; made into a module when it is needed.
;;
;; The input is "STEPS" or "STEPS URL", a JSON text; the URL is that of a stub. A step is a letter and a decimal number. The result is
;; the sum of the values of all steps, 16 hexadecimal digits as JSON text.
;;
;;   wN  waits N milliseconds: 0
;;   cN  N turns of a generator of numbers, from 1: the last number
;;   mN  N MiB more of memory, a number written into every 4 KiB, and read again: the sum of what was read
;;   dN  reads the clock and has that made durable, N times: 0
;;   gN  gets URL/item, N times: the sum of the statuses
;;   pN  N effects: posts to URL/effect/JOB/NUMBER, from 00 on; may be repeated, with its key: the sum of the statuses
(module
  (import "mvm_ci_v1" "input_size" (func $input_size (result i32)))
  (import "mvm_ci_v1" "input_read" (func $input_read (param i32 i32 i32) (result i32)))
  (import "mvm_ci_v1" "output" (func $output (param i32 i32)))
  (import "mvm_ci_v1" "fail" (func $fail (param i32 i32)))
  (import "mvm_ci_v1" "sleep_ms" (func $sleep_ms (param i64)))
  (import "mvm_ci_v1" "now_ms" (func $now_ms (result i64)))
  (import "mvm_ci_v1" "http" (func $http (param i32 i32) (result i32)))
  (import "mvm_ci_v1" "http_read" (func $http_read (param i32 i32 i32) (result i32)))
  (import "mvm_ci_v1" "call" (func $call (param i32 i32 i32 i32) (result i32)))
  (import "mvm_ci_v1" "call_read" (func $call_read (param i32 i32 i32) (result i32)))

  ;; 64: pieces of requests, and names; 512: the result; 1024: an answer; 8192: a request; 16384: the input.
  (memory (export "memory") 1)
  (data (i32.const 64) "{\"url\":\"")
  (data (i32.const 80) "{\"method\":\"POST\",\"idempotent\":true,\"url\":\"")
  (data (i32.const 128) "/item\"}")
  (data (i32.const 144) "/effect/______________/__\"}")
  (data (i32.const 192) "job.info")
  (data (i32.const 208) "job.durable")
  (data (i32.const 224) "{}")
  (data (i32.const 240) "\"________________\"")
  (data (i32.const 272) "there is not so much memory")
  (global $url (mut i32) (i32.const 0))
  (global $url_size (mut i32) (i32.const 0))
  (global $effects (mut i32) (i32.const 0))
  (global $failed (mut i32) (i32.const 0))

  (func $compute (param $turns i64) (result i64)
    (local $value i64)
    (local.set $value (i64.const 1))
    (block $done
      (loop $next
        (br_if $done (i64.eqz (local.get $turns)))
        (local.set $value (i64.mul (local.get $value) (i64.const 6364136223846793005)))
        (local.set $turns (i64.sub (local.get $turns) (i64.const 1)))
        (br $next)))
    (local.get $value))

  (func $touch (param $mib i32) (result i64)
    (local $begin i32) (local $at i32) (local $end i32) (local $sum i64)
    (local.set $begin (memory.grow (i32.mul (local.get $mib) (i32.const 16))))
    (if (i32.eq (local.get $begin) (i32.const -1))
      (then
        (call $fail (i32.const 272) (i32.const 27))
        (global.set $failed (i32.const 1))
        (return (i64.const 0))))
    (local.set $begin (i32.mul (local.get $begin) (i32.const 65536)))
    (local.set $end (i32.add (local.get $begin) (i32.mul (local.get $mib) (i32.const 1048576))))
    (local.set $at (local.get $begin))
    (block $written
      (loop $next
        (br_if $written (i32.ge_u (local.get $at) (local.get $end)))
        (i64.store (local.get $at)
          (i64.mul
            (i64.extend_i32_u (i32.div_u (i32.sub (local.get $at) (local.get $begin)) (i32.const 4096)))
            (i64.const 6364136223846793005)))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br $next)))
    (local.set $at (local.get $begin))
    (block $read
      (loop $next
        (br_if $read (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $sum (i64.add (local.get $sum) (i64.load (local.get $at))))
        (local.set $at (i32.add (local.get $at) (i32.const 4096)))
        (br $next)))
    (local.get $sum))

  (func $durable (param $times i64) (result i64)
    (block $done
      (loop $next
        (br_if $done (i64.eqz (local.get $times)))
        (drop (call $now_ms))
        (drop (call $call (i32.const 208) (i32.const 11) (i32.const 224) (i32.const 2)))
        (local.set $times (i64.sub (local.get $times) (i64.const 1)))
        (br $next)))
    (i64.const 0))

  ;; Asks what stands between 8192 and $end: the status. No answer is the job's failure, with what the host said.
  (func $ask (param $end i32) (result i64)
    (local $size i32)
    (drop (call $http (i32.const 8192) (i32.sub (local.get $end) (i32.const 8192))))
    (local.set $size (call $http_read (i32.const 1024) (i32.const 0) (i32.const 1024)))
    ;; {"ok":{"status":200
    (if (i32.ne (i32.load8_u (i32.const 1026)) (i32.const 111))
      (then
        (call $fail (i32.const 1024) (local.get $size))
        (global.set $failed (i32.const 1))
        (return (i64.const 0))))
    (i64.extend_i32_u
      (i32.sub
        (i32.add
          (i32.add
            (i32.mul (i32.load8_u (i32.const 1040)) (i32.const 100))
            (i32.mul (i32.load8_u (i32.const 1041)) (i32.const 10)))
          (i32.load8_u (i32.const 1042)))
        (i32.const 5328))))

  ;; A request is a beginning, the URL and an end.
  (func $request (param $from i32) (param $size i32) (param $tail i32) (param $tail_size i32) (result i64)
    (local $at i32)
    (memory.copy (i32.const 8192) (local.get $from) (local.get $size))
    (local.set $at (i32.add (i32.const 8192) (local.get $size)))
    (memory.copy (local.get $at) (global.get $url) (global.get $url_size))
    (local.set $at (i32.add (local.get $at) (global.get $url_size)))
    (memory.copy (local.get $at) (local.get $tail) (local.get $tail_size))
    (call $ask (i32.add (local.get $at) (local.get $tail_size))))

  (func $get (param $times i64) (result i64)
    (local $sum i64)
    (block $done
      (loop $next
        (br_if $done (i32.or (i64.eqz (local.get $times)) (global.get $failed)))
        (local.set $sum
          (i64.add (local.get $sum)
            (call $request (i32.const 64) (i32.const 8) (i32.const 128) (i32.const 7))))
        (local.set $times (i64.sub (local.get $times) (i64.const 1)))
        (br $next)))
    (local.get $sum))

  (func $post (param $times i64) (result i64)
    (local $sum i64)
    ;; {"ok":{"job":"…": the id has 14 characters.
    (drop (call $call (i32.const 192) (i32.const 8) (i32.const 224) (i32.const 2)))
    (drop (call $call_read (i32.const 152) (i32.const 14) (i32.const 14)))
    (block $done
      (loop $next
        (br_if $done (i32.or (i64.eqz (local.get $times)) (global.get $failed)))
        (i32.store8 (i32.const 167) (i32.add (i32.const 48) (i32.div_u (global.get $effects) (i32.const 10))))
        (i32.store8 (i32.const 168) (i32.add (i32.const 48) (i32.rem_u (global.get $effects) (i32.const 10))))
        (global.set $effects (i32.add (global.get $effects) (i32.const 1)))
        (local.set $sum
          (i64.add (local.get $sum)
            (call $request (i32.const 80) (i32.const 42) (i32.const 144) (i32.const 27))))
        (local.set $times (i64.sub (local.get $times) (i64.const 1)))
        (br $next)))
    (local.get $sum))

  (func $result (param $value i64)
    (local $at i32) (local $digit i32)
    (local.set $at (i32.const 256))
    (loop $next
      (local.set $digit (i32.wrap_i64 (i64.and (local.get $value) (i64.const 15))))
      (i32.store8 (local.get $at)
        (i32.add (local.get $digit)
          (select (i32.const 48) (i32.const 87) (i32.lt_u (local.get $digit) (i32.const 10)))))
      (local.set $value (i64.shr_u (local.get $value) (i64.const 4)))
      (local.set $at (i32.sub (local.get $at) (i32.const 1)))
      (br_if $next (i32.gt_u (local.get $at) (i32.const 240))))
    (call $output (i32.const 240) (i32.const 18)))

  ;; The URL stands between the blank behind the steps, if there is one, and the last quotation mark.
  (func $find_url (param $at i32) (param $end i32)
    (block $found
      (loop $look
        (br_if $found (i32.ge_u (local.get $at) (local.get $end)))
        (local.set $at (i32.add (local.get $at) (i32.const 1)))
        (br_if $look (i32.ne (i32.load8_u (i32.sub (local.get $at) (i32.const 1))) (i32.const 32)))
        (global.set $url (local.get $at))
        (global.set $url_size (i32.sub (local.get $end) (local.get $at))))))

  (func (export "run") (result i32)
    (local $at i32) (local $end i32) (local $step i32) (local $digit i32) (local $n i64) (local $sum i64)
    (local.set $at (i32.const 16385))
    (local.set $end
      (i32.add (i32.const 16383) (call $input_read (i32.const 16384) (i32.const 0) (call $input_size))))
    (call $find_url (local.get $at) (local.get $end))
    (block $over
      (loop $next
        (br_if $over (i32.or (i32.ge_u (local.get $at) (local.get $end)) (global.get $failed)))
        (local.set $step (i32.load8_u (local.get $at)))
        (br_if $over (i32.eq (local.get $step) (i32.const 32)))
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
        (if (i32.eq (local.get $step) (i32.const 119)) (then (call $sleep_ms (local.get $n))))
        (if (i32.eq (local.get $step) (i32.const 99))
          (then (local.set $sum (i64.add (local.get $sum) (call $compute (local.get $n))))))
        (if (i32.eq (local.get $step) (i32.const 109))
          (then (local.set $sum (i64.add (local.get $sum) (call $touch (i32.wrap_i64 (local.get $n)))))))
        (if (i32.eq (local.get $step) (i32.const 100))
          (then (local.set $sum (i64.add (local.get $sum) (call $durable (local.get $n))))))
        (if (i32.eq (local.get $step) (i32.const 103))
          (then (local.set $sum (i64.add (local.get $sum) (call $get (local.get $n))))))
        (if (i32.eq (local.get $step) (i32.const 112))
          (then (local.set $sum (i64.add (local.get $sum) (call $post (local.get $n))))))
        (br $next)))
    (call $result (local.get $sum))
    (i32.const 0)))
