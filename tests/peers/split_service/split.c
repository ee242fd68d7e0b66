/* A service with a known split: each request computes 4.9 ms in tokenize and 2.1 ms in embed. */
#include <netinet/in.h>
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static volatile unsigned sink;

static double cpu_seconds(void) {
    struct timespec now;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &now);
    return now.tv_sec + now.tv_nsec / 1e9;
}

__attribute__((noinline)) static void tokenize(double seconds) {
    double end = cpu_seconds() + seconds;
    do
        for (unsigned i = 0; i < 20000; i++) sink = sink * 31 + i;
    while (cpu_seconds() < end);
}

__attribute__((noinline)) static void embed(double seconds) {
    double end = cpu_seconds() + seconds;
    do
        for (unsigned i = 0; i < 20000; i++) sink = (sink ^ i) * 2654435761u;
    while (cpu_seconds() < end);
}

__attribute__((noinline)) static void work(void) {
    tokenize(0.0049);
    embed(0.0021);
}

/* Requests one after another; they are small, and their bodies are counted and not looked at. */
static void *serve(void *argument) {
    int socket = (int)(long)argument;
    char buffer[8192];
    size_t held = 0;
    for (;;) {
        buffer[held] = 0;
        char *end = strstr(buffer, "\r\n\r\n");
        char *length = end ? strcasestr(buffer, "content-length:") : NULL;
        size_t whole = end ? end + 4 - buffer + (length && length < end ? atoi(length + 15) : 0) : 0;
        if (!end || held < whole) {
            ssize_t got = read(socket, buffer + held, sizeof buffer - 1 - held);
            if (got <= 0) break;
            held += got;
            continue;
        }
        if (strncmp(buffer, "POST", 4) == 0) work();
        const char *status = strncmp(buffer, "GET /debug", 10) ? "200 OK" : "404 Not Found";
        char answer[200];
        int size = snprintf(answer, sizeof answer,
                            "HTTP/1.1 %s\r\ncontent-type: application/json\r\n"
                            "content-length: 25\r\n\r\n{\"sentiment\": \"neutral\" }",
                            status);
        if (write(socket, answer, size) != size) break;
        memmove(buffer, buffer + whole, held - whole);
        held -= whole;
    }
    close(socket);
    return NULL;
}

int main(int count, char **words) {
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = {.sin_family = AF_INET,
                                  .sin_port = htons(count > 1 ? atoi(words[1]) : 0),
                                  .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
    if (bind(listener, (struct sockaddr *)&address, sizeof address) || listen(listener, 128)) return 1;
    for (;;) {
        pthread_t thread;
        int connection = accept(listener, NULL, NULL);
        if (connection < 0) continue;
        if (pthread_create(&thread, NULL, serve, (void *)(long)connection) == 0) pthread_detach(thread);
    }
}
