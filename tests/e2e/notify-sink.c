/* SPDX-License-Identifier: MIT */
/*
 * notify-sink.c - plays the service manager in tests: prints what arrives on a notify socket.
 *
 *     notify-sink PATH SECONDS
 *
 * One line a datagram, line breaks inside as " | ", until killed or SECONDS have passed.
 */
#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <time.h>
#include <unistd.h>

int main(int argc, char **argv)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    if (argc != 3 || strlen(argv[1]) >= sizeof a.sun_path) {
        fprintf(stderr, "usage: notify-sink PATH SECONDS\n");
        return 2;
    }
    strcpy(a.sun_path, argv[1]);
    int fd = socket(AF_UNIX, SOCK_DGRAM, 0);
    if (fd < 0 || bind(fd, (struct sockaddr *)&a, sizeof a) != 0) {
        perror("notify-sink");
        return 1;
    }
    time_t end = time(NULL) + atoi(argv[2]);
    struct pollfd p = {.fd = fd, .events = POLLIN};
    while (time(NULL) < end) {
        char text[4096];
        ssize_t n = poll(&p, 1, 200) > 0 ? recv(fd, text, sizeof text - 1, 0) : 0;
        if (n <= 0)
            continue;
        text[n] = '\0';
        for (char *line = strtok(text, "\n"), *next; line; line = next) {
            next = strtok(NULL, "\n");
            printf("%s%s", line, next ? " | " : "\n");
        }
        fflush(stdout);
    }
    return 0;
}
