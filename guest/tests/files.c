// WASI preview 1, function by function: each line of the input is one call, each line of the result what it said.
//
//     open 3 1 a%00b 9 2 0      the arguments of the function; %XX is a byte
//     0 4                       the error number, and what was stored
//
// Input that begins with another word than a function runs one of the programs below, on the C library.
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "mvm_ci.h"

#define WASI(name) __attribute__((import_module("wasi_snapshot_preview1"), import_name(#name))) int raw_##name
typedef uint32_t u32;
typedef uint64_t u64;
struct part { void *data; u32 size; };
struct dirent_head { u64 next, inode; u32 name_size; uint8_t type; };

WASI(fd_advise)(u32, u64, u64, u32);
WASI(fd_allocate)(u32, u64, u64);
WASI(fd_close)(u32);
WASI(fd_datasync)(u32);
WASI(fd_fdstat_get)(u32, void *);
WASI(fd_fdstat_set_flags)(u32, u32);
WASI(fd_fdstat_set_rights)(u32, u64, u64);
WASI(fd_filestat_get)(u32, void *);
WASI(fd_filestat_set_size)(u32, u64);
WASI(fd_filestat_set_times)(u32, u64, u64, u32);
WASI(fd_pread)(u32, struct part *, u32, u64, u32 *);
WASI(fd_prestat_dir_name)(u32, char *, u32);
WASI(fd_prestat_get)(u32, u32 *);
WASI(fd_pwrite)(u32, struct part *, u32, u64, u32 *);
WASI(fd_read)(u32, struct part *, u32, u32 *);
WASI(fd_readdir)(u32, void *, u32, u64, u32 *);
WASI(fd_renumber)(u32, u32);
WASI(fd_seek)(u32, u64, u32, u64 *);
WASI(fd_sync)(u32);
WASI(fd_tell)(u32, u64 *);
WASI(fd_write)(u32, struct part *, u32, u32 *);
WASI(path_create_directory)(u32, char *, u32);
WASI(path_filestat_get)(u32, u32, char *, u32, void *);
WASI(path_filestat_set_times)(u32, u32, char *, u32, u64, u64, u32);
WASI(path_link)(u32, u32, char *, u32, u32, char *, u32);
WASI(path_open)(u32, u32, char *, u32, u32, u64, u64, u32, u32 *);
WASI(path_readlink)(u32, char *, u32, char *, u32, u32 *);
WASI(path_remove_directory)(u32, char *, u32);
WASI(path_rename)(u32, char *, u32, u32, char *, u32);
WASI(path_symlink)(char *, u32, u32, char *, u32);
WASI(path_unlink_file)(u32, char *, u32);
WASI(poll_oneoff)(void *, void *, u32, u32 *);
WASI(sock_shutdown)(u32, u32);

static char input[1 << 20], out[1 << 20], data[1 << 20];
static int said;

static void say(const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    said += vsnprintf(out + said, sizeof out - said, format, arguments);
    va_end(arguments);
}

// ---------------------------------------------------------------- one line

static char *words[12];
static u32 sizes[12];

static int split(char *line) {
    int count = 0;
    for (char *word = strtok(line, " "); word && count < 12; word = strtok(NULL, " ")) {
        char *to = word, *from = word;
        words[count] = word;
        for (; *from; from++) {
            if (*from == '%') {
                char hex[3] = {from[1], from[2], 0};
                *to++ = (char)strtoul(hex, NULL, 16);
                from += 2;
            } else {
                *to++ = *from;
            }
        }
        sizes[count++] = (u32)(to - word);
        *to = 0;
    }
    return count;
}

static u64 n(int index) { return strtoull(words[index], NULL, 0); }
#define P(index) words[index], sizes[index]

static void stat_said(int error, u64 *stat) {
    say("%d", error);
    if (!error)  // type, links, size, inode, device, times
        say(" %d %llu %llu %llu %llu %llu %llu %llu", (int)(stat[2] & 0xff), stat[3], stat[4], stat[1], stat[0], stat[5],
            stat[6], stat[7]);
}

static void listing_said(int error, u32 used) {
    say("%d %u", error, used);
    for (u32 at = 0; !error && at + 24 <= used;) {
        struct dirent_head head;
        memcpy(&head, data + at, sizeof head);
        if (at + 24 + head.name_size > used) break;
        say(" %.*s:%d:%llu:%llu", (int)head.name_size, data + at + 24, head.type, head.next, head.inode);
        at += 24 + head.name_size;
    }
}

static int line_said(char *line) {
    u32 number = 0, count = 0;
    u64 big = 0, stat[8];
    int error;
    struct part parts[2] = {{data, 3}, {data + 3, sizeof data - 3}};
    if (!split(line)) return 1;
    char *name = words[0];
#define IS(text) (strcmp(name, text) == 0)
    if (IS("open")) {
        error = raw_path_open(n(1), n(2), P(3), n(4), n(5), 0, n(6), &number);
        say("%d %u", error, number);
    } else if (IS("read") || IS("pread")) {
        count = n(2);
        if (count < 3) parts[0].size = count;
        parts[1].size = count < 3 ? 0 : count - 3;
        memset(data, 0, count);
        error = name[0] == 'r' ? raw_fd_read(n(1), parts, 2, &number) : raw_fd_pread(n(1), parts, 2, n(3), &number);
        say("%d %u %s", error, number, data);
    } else if (IS("write") || IS("pwrite")) {
        parts[0] = (struct part){words[2], sizes[2] > 1};
        parts[1] = (struct part){words[2] + parts[0].size, sizes[2] - parts[0].size};
        error = name[0] == 'w' ? raw_fd_write(n(1), parts, 2, &number) : raw_fd_pwrite(n(1), parts, 2, n(3), &number);
        say("%d %u", error, number);
    } else if (IS("parts")) {
        say("%d", raw_fd_write(n(1), (struct part *)data, n(2), &number));
    } else if (IS("seek")) {
        error = raw_fd_seek(n(1), (u64)strtoll(words[2], NULL, 0), n(3), &big);
        say("%d %llu", error, big);
    } else if (IS("tell")) {
        error = raw_fd_tell(n(1), &big);
        say("%d %llu", error, big);
    } else if (IS("stat")) {
        stat_said(raw_fd_filestat_get(n(1), stat), stat);
    } else if (IS("path-stat")) {
        stat_said(raw_path_filestat_get(n(1), n(2), P(3), stat), stat);
    } else if (IS("fdstat")) {
        error = raw_fd_fdstat_get(n(1), stat);
        say("%d", error);
        if (!error) say(" %d %d %llu %llu", (int)(stat[0] & 0xff), (int)(stat[0] >> 16 & 0xffff), stat[1], stat[2]);
    } else if (IS("readdir")) {
        error = raw_fd_readdir(n(1), data, n(2), n(3), &number);
        listing_said(error, number);
    } else if (IS("readlink")) {
        memset(data, 0, 5000);
        error = raw_path_readlink(n(1), P(2), data, n(3), &number);
        say("%d %u %s", error, number, data);
    } else if (IS("prestat")) {
        u32 prestat[2] = {9, 9};
        error = raw_fd_prestat_get(n(1), prestat);
        say("%d %u %u", error, prestat[0], prestat[1]);
    } else if (IS("prestat-name")) {
        memset(data, 0, 16);
        error = raw_fd_prestat_dir_name(n(1), data, n(2));
        say("%d %s", error, data);
    } else if (IS("poll")) {
        u64 subscription[6] = {7, n(1), n(2)}, event[4];
        error = raw_poll_oneoff(subscription, event, 1, &number);
        say("%d %u %d", error, number, (int)(event[1] & 0xffff));
    }
    else if (IS("advise")) say("%d", raw_fd_advise(n(1), n(2), n(3), n(4)));
    else if (IS("allocate")) say("%d", raw_fd_allocate(n(1), n(2), n(3)));
    else if (IS("close")) say("%d", raw_fd_close(n(1)));
    else if (IS("datasync")) say("%d", raw_fd_datasync(n(1)));
    else if (IS("set-flags")) say("%d", raw_fd_fdstat_set_flags(n(1), n(2)));
    else if (IS("set-rights")) say("%d", raw_fd_fdstat_set_rights(n(1), n(2), n(3)));
    else if (IS("set-size")) say("%d", raw_fd_filestat_set_size(n(1), n(2)));
    else if (IS("set-times")) say("%d", raw_fd_filestat_set_times(n(1), n(2), n(3), n(4)));
    else if (IS("path-set-times")) say("%d", raw_path_filestat_set_times(n(1), n(2), P(3), n(4), n(5), n(6)));
    else if (IS("renumber")) say("%d", raw_fd_renumber(n(1), n(2)));
    else if (IS("sync")) say("%d", raw_fd_sync(n(1)));
    else if (IS("mkdir")) say("%d", raw_path_create_directory(n(1), P(2)));
    else if (IS("rmdir")) say("%d", raw_path_remove_directory(n(1), P(2)));
    else if (IS("unlink")) say("%d", raw_path_unlink_file(n(1), P(2)));
    else if (IS("link")) say("%d", raw_path_link(n(1), n(2), P(3), n(4), P(5)));
    else if (IS("rename")) say("%d", raw_path_rename(n(1), P(2), n(3), P(4)));
    else if (IS("symlink")) say("%d", raw_path_symlink(P(1), n(2), P(3)));
    else if (IS("bad-pointer")) say("%d", raw_fd_fdstat_get(n(1), (void *)0xfffffff0u));
    else if (IS("shutdown")) say("%d", raw_sock_shutdown(n(1), n(2)));
    else return 0;
    say("\n");
    return 1;
}

// ---------------------------------------------------------------- programs on the C library

static const char *ordinary(void) {
    char cwd[64], line[64];
    struct stat first, second;
    FILE *file = fopen("notes.txt", "w+");
    fprintf(file, "one\ntwo\nthree\n");
    fseek(file, 4, SEEK_SET);
    say("%s %s", getcwd(cwd, sizeof cwd), fgets(line, sizeof line, file));
    fclose(file);
    file = fopen("/notes.txt", "a");
    fprintf(file, "four\n");
    say("%ld\n", ftell(file));
    fclose(file);
    mkdir("dir", 0777);
    chdir("dir");
    rename("/notes.txt", "moved.txt");
    symlink("moved.txt", "link");
    stat("link", &first);
    lstat("link", &second);
    say("%lld %d %d\n", (long long)first.st_size, S_ISREG(first.st_mode), S_ISLNK(second.st_mode));
    DIR *directory = opendir(".");
    for (struct dirent *entry; (entry = readdir(directory));) say("%s ", entry->d_name);
    closedir(directory);
    say("%s\n", getcwd(cwd, sizeof cwd));
    truncate("moved.txt", 3);
    file = fopen("link", "r");
    say("%s ", fgets(line, sizeof line, file));
    fclose(file);
    say("%d %d %d\n", access("moved.txt", F_OK), access("none", F_OK), errno == ENOENT);
    int temporary = open("/tmp/work", O_CREAT | O_EXCL | O_RDWR, 0600);
    say("%d %d %d\n", temporary >= 0, unlink("/tmp/work"), close(temporary));
    unlink("link");
    unlink("moved.txt");
    chdir("..");
    return rmdir("dir") == 0 ? "gone" : strerror(errno);
}

// Removes what is in a directory while it reads it, in small portions: nothing may be left out.
static const char *removes_while_it_reads(void) {
    char name[64];
    int left = 0;
    mkdir("many", 0777);
    for (int i = 0; i < 1000; i++) {
        snprintf(name, sizeof name, "many/a-file-with-a-long-name-%d", i);
        close(open(name, O_CREAT | O_WRONLY, 0666));
    }
    DIR *directory = opendir("many");
    for (struct dirent *entry; (entry = readdir(directory));) {
        if (entry->d_name[0] == '.') continue;
        snprintf(name, sizeof name, "many/%s", entry->d_name);
        unlink(name);
    }
    rewinddir(directory);
    while (readdir(directory)) left++;
    closedir(directory);
    say("%d %d\n", left - 2, rmdir("many"));  // without "." and ".."
    return "done";
}

static const char *fills(void) {
    static char block[1 << 16];
    int file = open("full", O_CREAT | O_RDWR, 0666);
    long long total = 0;
    for (ssize_t size; (size = write(file, block, sizeof block)) > 0;) total += size;
    say("%lld %d ", total, errno == ENOSPC);
    say("%d %d\n", ftruncate(file, 1), (int)pwrite(file, block, 10, 1));
    return "done";
}

static const char *makes_a_million(void) {
    char name[32];
    int made = 0;
    for (; made < 1000000; made++) {
        snprintf(name, sizeof name, "file-%d", made);
        int file = open(name, O_CREAT | O_WRONLY | O_EXCL, 0666);
        if (file < 0) break;
        close(file);
    }
    say("%d %d\n", made, errno == ENOSPC);
    return "done";
}

static const char *opens_without_end(void) {
    int opened = 0;
    while (open("/tmp", O_RDONLY | O_DIRECTORY) >= 0) opened++;
    say("%d %d\n", opened, errno == EMFILE);
    return "done";
}

static const char *digs(void) {
    int depth = 0;
    while (mkdir("d", 0777) == 0 && chdir("d") == 0) depth++;
    say("%d %d\n", depth > 1000, errno == ENAMETOOLONG);
    return "done";
}

// Writes, sleeps for long, and tells what is there then, with all numbers and times.
static const char *sleeps_on_it(void) {
    struct stat known;
    FILE *file = fopen("kept", "w");
    fprintf(file, "before");
    fflush(file);
    mkdir("dir", 0777);
    rename("kept", "dir/kept");
    mvm_ci_sleep_ms(3600 * 1000);
    fprintf(file, " and after");
    fclose(file);
    file = fopen("dir/kept", "r");
    say("%s ", fgets(data, sizeof data, file));
    fstat(fileno(file), &known);
    fclose(file);
    say("%lld %lld.%09ld\n", (long long)known.st_ino, (long long)known.st_mtim.tv_sec, known.st_mtim.tv_nsec);
    return "done";
}

static const struct { const char *name; const char *(*run)(void); } programs[] = {
    {"ordinary", ordinary}, {"removes", removes_while_it_reads}, {"fills", fills}, {"million", makes_a_million},
    {"opens", opens_without_end}, {"digs", digs}, {"sleeps", sleeps_on_it},
};

MVM_CI_RUN {
    input[mvm_ci_input_read(input, 0, sizeof input - 1)] = 0;
    for (unsigned i = 0; i < sizeof programs / sizeof *programs; i++)
        if (strcmp(input, programs[i].name) == 0) say("%s", programs[i].run());
    if (!said) {
        char *next, *line = input;
        for (; line; line = next) {
            next = strchr(line, '\n');
            if (next) *next++ = 0;
            if (!line_said(line)) return 1;
        }
    }
    mvm_ci_output(out, (uint32_t)said);
    return 0;
}
