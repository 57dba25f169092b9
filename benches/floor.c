/* The floor: what one collection cycle costs a program that only opens, reads and closes the sources, and
   parses nothing. Seven files of /proc, statvfs on the mounts named, the name of every process, one TCP
   connection that is refused or taken.
       floor SECONDS [MOUNT...]      one cycle every SECONDS seconds, until it is killed
   benches/agent.py builds it and measures it beside sexton. */
#include <arpa/inet.h>
#include <dirent.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <sys/statvfs.h>
#include <time.h>
#include <unistd.h>

static const char *const sources[] = {"/proc/stat",     "/proc/loadavg",   "/proc/meminfo",
                                      "/proc/vmstat",   "/proc/net/dev",   "/proc/diskstats",
                                      "/proc/self/mountinfo"};
static char buffer[65536];

static void read_whole(const char *path) {
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return;
    while (read(fd, buffer, sizeof buffer) > 0) {}
    close(fd);
}

static void every_process(void) {
    DIR *proc = opendir("/proc");
    if (!proc) return;
    char path[300];
    for (struct dirent *entry; (entry = readdir(proc));) {
        if (entry->d_name[0] < '0' || entry->d_name[0] > '9') continue;
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        read_whole(path);
    }
    closedir(proc);
}

static void connect_once(void) {
    struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(1)};
    to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return;
    (void)!connect(fd, (struct sockaddr *)&to, sizeof to);
    close(fd);
}

int main(int count, char **words) {
    double seconds = count > 1 ? atof(words[1]) : 0;
    if (seconds <= 0) return 2;
    struct timespec pause = {(time_t)seconds, (long)((seconds - (time_t)seconds) * 1e9)};
    for (;;) {
        struct statvfs usage;
        for (size_t i = 0; i < sizeof sources / sizeof *sources; i++) read_whole(sources[i]);
        for (int i = 2; i < count; i++) (void)!statvfs(words[i], &usage);
        every_process();
        connect_once();
        nanosleep(&pause, 0);
    }
}
