/* Cameras for tests: plays V4L2 devices to the process that it is loaded into (LD_PRELOAD), in front of libc.

   fakecamera.py compiles this, describes the devices in a file that both map, and keeps a tree of files that stands
   for what /dev and /sys have of them. Behaves as Linux's uvcvideo and videobuf2 do (drivers/media/usb/uvc and
   drivers/media/common/videobuf2 of Linux 6.1), as far as a program can see:

   - The file descriptor of an opened device is one of epoll(7), with a timer in it that fires when a frame is due, and
     with inotify(7) for changes of the situation. So select(), poll() and epoll() work without being replaced, and no
     thread is needed: which frames came meanwhile is worked out at the next request.
   - A frame takes the last 90 % of its period to come in. It goes into the first buffer that was queued when that
     began; when none was, it is lost.

   Without the environment variable LIVEHAND_FAKE_CAMERAS, and while no cameras are set up, everything goes to libc.
   64-bit Linux only, where off_t, dirent and stat are the same with and without large files. */

#define _GNU_SOURCE
#include <dirent.h>
#include <dlfcn.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <linux/videodev2.h>
#include <poll.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/timerfd.h>
#include <time.h>
#include <unistd.h>

_Static_assert(sizeof(void *) == 8, "64-bit only");

#define EXPORT __attribute__((visibility("default")))

/* What libc has under these names; looked up at once, but others' constructors may run before this library's. */
#define LIBC(DO)                                                                                              \
    DO(open) DO(openat) DO(close) DO(ioctl) DO(fopen) DO(opendir) DO(readdir) DO(closedir) DO(statx)          \
    DO(faccessat) DO(readlink) DO(readlinkat) DO(realpath) DO(inotify_add_watch)
#define DECLARE(name) static __typeof__(&name) libc_##name;
#define LOOK_UP(name) libc_##name = (__typeof__(&name))dlsym(RTLD_NEXT, #name);
#define REAL(name) (libc_##name ? libc_##name : (lookUp(), libc_##name))

LIBC(DECLARE)

static void lookUp(void)
{
    LIBC(LOOK_UP)
}

static int realFstat(int file, struct stat *status) /* a glibc before 2.33 has no function of this name */
{
    return syscall(SYS_fstat, file, status);
}

/* The file that fakecamera.py writes; the layouts are the same there. */

enum { MAGIC = 0x46434c48, MAX_DEVICES = 16, MAX_MODES = 15, MAX_CONTROLS = 3 };

enum {
    WORKS,
    BUSY,         /* another program has it */
    DENIED,       /* the user may not open it */
    SILENT,       /* no frame comes */
    FAILING,      /* every transfer fails, at once */
    WAKING,       /* the same for a while after the stream was started */
    CORRUPT,      /* frames are cut short and marked as erroneous */
    LOSSY,        /* a share of the frames does not arrive */
    NO_START,     /* the stream cannot be started */
    NO_BANDWIDTH, /* the same because other devices use up the USB bus */
    HANGING,      /* waiting for a frame does not come back */
};

struct Mode {
    uint32_t fourcc, width, height, numerator, denominator, sizeImage; /* the fraction is the period, s */
    char path[232]; /* of the frames, after which stand the offsets of each and of the end (u64) */
};

struct Device {
    int32_t number, metadataNumber;          /* of /dev/videoN; -1: there is none */
    uint32_t plugged;                        /* how many times it has been plugged in */
    uint32_t situation, amount;              /* ms or per mille, where the situation has one */
    uint32_t openingMs;                      /* how long opening takes */
    uint32_t modeCount;                      /* the first is the default */
    uint32_t delivered, lost;                /* frames, of all streams */
    int32_t controls[MAX_CONTROLS];
    uint32_t reserved[4];
    char name[32], bus[32];
    struct Mode modes[MAX_MODES];
    char padding[128];
};

struct State {
    uint32_t magic, active, deviceCount;
    char padding[4084];
    struct Device devices[MAX_DEVICES];
};

_Static_assert(sizeof(struct Mode) == 256 && sizeof(struct Device) == 4096 && sizeof(struct State) == 17 * 4096, "");

static struct State *state;
static char folder[PATH_MAX - 512], root[PATH_MAX - 256];
static size_t rootLength;

EXPORT const char *livehand_fake_cameras(void)
{
    return state ? folder : NULL;
}

__attribute__((constructor)) static void begin(void)
{
    const char *given = getenv("LIVEHAND_FAKE_CAMERAS");
    char path[PATH_MAX];
    lookUp();
    if (!given || strlen(given) >= sizeof folder)
        return;
    strcpy(folder, given);
    rootLength = snprintf(root, sizeof root, "%s/root", folder);
    snprintf(path, sizeof path, "%s/state", folder);
    int file = REAL(open)(path, O_RDWR | O_CLOEXEC);
    if (file < 0)
        return;
    struct stat status;
    if (!realFstat(file, &status) && status.st_size == sizeof *state) {
        void *address = mmap(NULL, sizeof *state, PROT_READ | PROT_WRITE, MAP_SHARED, file, 0);
        if (address != MAP_FAILED && ((struct State *)address)->magic == MAGIC)
            state = address;
    }
    REAL(close)(file);
}

static int active(void)
{
    return state && __atomic_load_n(&state->active, __ATOMIC_ACQUIRE);
}

static uint64_t nowNs(void)
{
    struct timespec time;
    clock_gettime(CLOCK_MONOTONIC, &time);
    return time.tv_sec * 1000000000ull + time.tv_nsec;
}

static int fail(int error)
{
    errno = error;
    return -1;
}

/* An opened device */

enum { MAX_HANDLES = 64, MAX_FILES = 1024 /* what select() takes */, MAX_BUFFERS = VIDEO_MAX_FRAME };
enum { OWNED, QUEUED, DONE }; /* where a buffer is: with the program, with the driver, with a frame in it */

struct Buffer {
    int where;
    uint32_t used, sequence;
    int erroneous;
    uint64_t startedNs;
};

struct Ring { /* indices of buffers, in order */
    int items[MAX_BUFFERS], first, count;
};

struct Handle {
    pthread_mutex_t mutex;
    int inUse, file, timer, changes, memory, lock; /* descriptors; -1: none */
    pid_t process;
    int device, isMetadata, nonBlocking;
    uint32_t plugged;
    int hasPrivileges;
    uint32_t mode;
    const uint8_t *frames;
    size_t framesLength;
    const uint64_t *offsets;
    uint64_t frameCount;
    uint8_t *mapped;
    size_t bufferLength;
    uint32_t bufferCount;
    struct Buffer buffers[MAX_BUFFERS];
    struct Ring queued, done;
    int streaming, filling; /* the buffer into which a frame is coming in; -1: none */
    uint64_t startNs, frame;
    int hasBegun; /* whether the frame has */
};

static struct Handle handles[MAX_HANDLES];
static struct Handle *byFile[MAX_FILES];
static pthread_mutex_t tableMutex = PTHREAD_MUTEX_INITIALIZER;

static struct Handle *handleOf(int file)
{
    return file >= 0 && file < MAX_FILES ? __atomic_load_n(&byFile[file], __ATOMIC_ACQUIRE) : NULL;
}

static struct Device *deviceOf(struct Handle *handle)
{
    return &state->devices[handle->device];
}

static int isGone(struct Handle *handle)
{
    struct Device *device = deviceOf(handle);
    return !active() || device->number < 0 || device->plugged != handle->plugged;
}

static void push(struct Ring *ring, int item)
{
    ring->items[(ring->first + ring->count++) % MAX_BUFFERS] = item;
}

static int pop(struct Ring *ring)
{
    int item = ring->items[ring->first];
    ring->first = (ring->first + 1) % MAX_BUFFERS;
    ring->count--;
    return item;
}

static uint64_t periodNs(struct Handle *handle)
{
    struct Mode *mode = &deviceOf(handle)->modes[handle->mode];
    return 1000000000ull * mode->numerator / mode->denominator;
}

static int isLost(struct Handle *handle, uint64_t frame)
{
    struct Device *device = deviceOf(handle);
    return device->situation == LOSSY && (frame * 2654435761u >> 8) % 1000 < device->amount;
}

static int transfersFail(struct Handle *handle, uint64_t now)
{
    struct Device *device = deviceOf(handle);
    return device->situation == FAILING ||
           (device->situation == WAKING && now < handle->startNs + device->amount * 1000000ull);
}

static void fill(struct Handle *handle, int index)
{
    struct Device *device = deviceOf(handle);
    struct Mode *mode = &device->modes[handle->mode];
    struct Buffer *buffer = &handle->buffers[index];
    const uint64_t *offsets = handle->offsets;
    uint64_t place = handle->frameCount ? handle->frame % handle->frameCount : 0;
    buffer->used = 0;
    buffer->erroneous = device->situation == CORRUPT;
    if (handle->frameCount) {
        uint64_t size = offsets[place + 1] - offsets[place];
        if (size > mode->sizeImage)
            size = mode->sizeImage;
        if (buffer->erroneous)
            size = (size / 2) & ~3ull;
        memcpy(handle->mapped + index * handle->bufferLength, handle->frames + offsets[place], size);
        buffer->used = size;
    }
    buffer->sequence = handle->frame;
    buffer->startedNs = handle->startNs + handle->frame * periodNs(handle);
    buffer->where = DONE;
    push(&handle->done, index);
    __atomic_fetch_add(&device->delivered, 1, __ATOMIC_RELAXED);
}

/* What has come in since this was last called. */
static void advance(struct Handle *handle, uint64_t now)
{
    struct Device *device = deviceOf(handle);
    if (!handle->streaming || isGone(handle))
        return;
    uint64_t period = periodNs(handle);
    for (;;) {
        uint64_t begins = handle->startNs + handle->frame * period + period / 10;
        uint64_t ends = handle->startNs + (handle->frame + 1) * period;
        if (!handle->hasBegun) {
            if (begins > now)
                return;
            handle->hasBegun = 1;
            if (handle->filling < 0 && handle->queued.count)
                handle->filling = pop(&handle->queued);
        }
        if (ends > now)
            return;
        int isSent = device->situation != SILENT && device->situation != HANGING && !transfersFail(handle, ends);
        if (isSent && !isLost(handle, handle->frame) && handle->filling >= 0) {
            fill(handle, handle->filling);
            handle->filling = -1;
        } else if (isSent)
            __atomic_fetch_add(&device->lost, 1, __ATOMIC_RELAXED);
        handle->frame++;
        handle->hasBegun = 0;
    }
}

/* Let the descriptor become readable when there is something to get: a frame, or an error. */
static void arm(struct Handle *handle, uint64_t now)
{
    struct Device *device = deviceOf(handle);
    uint64_t due = 0;
    if (isGone(handle) || !handle->streaming || handle->done.count)
        due = 1;
    else if (device->situation == HANGING || transfersFail(handle, now))
        due = 1;
    else if (device->situation != SILENT && (handle->filling >= 0 || handle->queued.count)) {
        uint64_t frame = handle->frame + (handle->hasBegun && handle->filling < 0);
        for (int ahead = 0; ahead < 1000 && isLost(handle, frame); ahead++)
            frame++;
        due = handle->startNs + (frame + 1) * periodNs(handle);
    }
    struct itimerspec timer = {.it_value = {due / 1000000000, due % 1000000000}};
    timerfd_settime(handle->timer, TFD_TIMER_ABSTIME, &timer, NULL);
}

/* Be told of changes from now on: those before are seen by whoever calls this. */
static void forgetChanges(struct Handle *handle)
{
    char events[4096];
    while (read(handle->changes, events, sizeof events) > 0)
        ;
}

static void dropBuffers(struct Handle *handle)
{
    if (handle->mapped)
        munmap(handle->mapped, handle->bufferCount * handle->bufferLength);
    if (handle->memory >= 0)
        REAL(close)(handle->memory);
    handle->mapped = NULL;
    handle->memory = -1;
    handle->bufferCount = 0;
}

static void stop(struct Handle *handle)
{
    handle->streaming = 0;
    handle->filling = -1;
    handle->queued.count = handle->done.count = 0;
    for (uint32_t index = 0; index < handle->bufferCount; index++)
        handle->buffers[index].where = OWNED;
}

static void dismissPrivileges(struct Handle *handle)
{
    if (handle->hasPrivileges)
        flock(handle->lock, LOCK_UN);
    handle->hasPrivileges = 0;
}

static int acquirePrivileges(struct Handle *handle)
{
    if (handle->hasPrivileges)
        return 0;
    if (deviceOf(handle)->situation == BUSY || flock(handle->lock, LOCK_EX | LOCK_NB))
        return fail(EBUSY);
    handle->hasPrivileges = 1;
    return 0;
}

static void mapFrames(struct Handle *handle)
{
    struct stat status;
    if (handle->frames)
        munmap((void *)handle->frames, handle->framesLength);
    handle->frames = NULL;
    handle->frameCount = 0;
    int file = REAL(open)(deviceOf(handle)->modes[handle->mode].path, O_RDONLY | O_CLOEXEC);
    if (file < 0)
        return;
    if (!realFstat(file, &status) && status.st_size > 0) {
        void *address = mmap(NULL, status.st_size, PROT_READ, MAP_SHARED, file, 0);
        if (address != MAP_FAILED) {
            handle->frames = address;
            handle->framesLength = status.st_size;
            /* The last offset is where the frames end; the offsets begin at the next multiple of 8. */
            uint64_t end = *(uint64_t *)(handle->frames + status.st_size - 8);
            handle->offsets = (const uint64_t *)(handle->frames + (end + 7) / 8 * 8);
            handle->frameCount = (const uint64_t *)(handle->frames + status.st_size) - handle->offsets - 1;
        }
    }
    REAL(close)(file);
}

static void closeParts(struct Handle *handle)
{
    int *parts[] = {&handle->timer, &handle->changes, &handle->lock, &handle->memory};
    stop(handle);
    dropBuffers(handle);
    if (handle->frames)
        munmap((void *)handle->frames, handle->framesLength);
    handle->frames = NULL;
    for (size_t part = 0; part < sizeof parts / sizeof *parts; part++) {
        if (*parts[part] >= 0)
            REAL(close)(*parts[part]);
        *parts[part] = -1;
    }
    handle->hasPrivileges = 0;
}

static void sleepMs(uint32_t ms)
{
    struct timespec time = {ms / 1000, ms % 1000 * 1000000};
    nanosleep(&time, NULL);
}

static int openDevice(int number, int flags)
{
    int found = -1, isMetadata = 0;
    for (uint32_t index = 0; index < state->deviceCount; index++) {
        struct Device *device = &state->devices[index];
        if (device->number >= 0 && (device->number == number || device->metadataNumber == number)) {
            found = index;
            isMetadata = device->number != number;
        }
    }
    if (found < 0)
        return fail(ENOENT);
    struct Device *device = &state->devices[found];
    if (device->situation == DENIED)
        return fail(EACCES);
    if (device->openingMs)
        sleepMs(device->openingMs);

    pthread_mutex_lock(&tableMutex);
    struct Handle *handle = NULL;
    for (int index = 0; index < MAX_HANDLES && !handle; index++)
        if (!handles[index].inUse)
            handle = &handles[index];
    if (!handle) {
        pthread_mutex_unlock(&tableMutex);
        return fail(EMFILE);
    }
    memset(handle, 0, sizeof *handle);
    pthread_mutex_init(&handle->mutex, NULL);
    handle->device = found;
    handle->isMetadata = isMetadata;
    handle->plugged = device->plugged;
    handle->process = getpid();
    handle->nonBlocking = !!(flags & O_NONBLOCK);
    handle->filling = handle->memory = -1;
    char lock[PATH_MAX], wake[PATH_MAX];
    snprintf(lock, sizeof lock, "%s/lock%d-%u%s", folder, found, device->plugged, isMetadata ? "m" : "");
    snprintf(wake, sizeof wake, "%s/wake", folder);
    handle->file = epoll_create1(EPOLL_CLOEXEC);
    handle->timer = timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
    handle->changes = inotify_init1(IN_NONBLOCK | IN_CLOEXEC);
    handle->lock = REAL(open)(lock, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    struct epoll_event event = {.events = EPOLLIN};
    int failed = handle->file < 0 || handle->file >= MAX_FILES || handle->timer < 0 || handle->changes < 0 ||
                 handle->lock < 0 || REAL(inotify_add_watch)(handle->changes, wake, IN_MODIFY) < 0 ||
                 epoll_ctl(handle->file, EPOLL_CTL_ADD, handle->timer, &event) ||
                 epoll_ctl(handle->file, EPOLL_CTL_ADD, handle->changes, &event);
    if (failed) {
        closeParts(handle);
        if (handle->file >= 0)
            REAL(close)(handle->file);
        pthread_mutex_unlock(&tableMutex);
        return fail(ENOMEM);
    }
    arm(handle, nowNs());
    handle->inUse = 1;
    __atomic_store_n(&byFile[handle->file], handle, __ATOMIC_RELEASE);
    pthread_mutex_unlock(&tableMutex);
    return handle->file;
}

EXPORT int close(int file)
{
    struct Handle *handle = handleOf(file);
    /* A child that shares this memory (vfork) closes its own descriptor only. */
    if (!handle || handle->process != getpid())
        return REAL(close)(file);
    pthread_mutex_lock(&tableMutex);
    __atomic_store_n(&byFile[file], NULL, __ATOMIC_RELEASE);
    pthread_mutex_lock(&handle->mutex);
    closeParts(handle);
    handle->inUse = 0;
    int result = REAL(close)(file);
    pthread_mutex_unlock(&handle->mutex);
    pthread_mutex_unlock(&tableMutex);
    return result;
}

static void *mapBuffer(struct Handle *handle, size_t length, int protection, int flags, off_t offset)
{
    void *address = MAP_FAILED;
    pthread_mutex_lock(&handle->mutex);
    if (isGone(handle))
        errno = ENODEV;
    else if (handle->memory < 0 || length > handle->bufferLength || offset % handle->bufferLength ||
             offset / handle->bufferLength >= handle->bufferCount)
        errno = EINVAL;
    else
        address = (void *)syscall(SYS_mmap, NULL, length, protection, flags, handle->memory, offset);
    pthread_mutex_unlock(&handle->mutex);
    return address;
}

EXPORT void *mmap(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    struct Handle *handle = flags & MAP_ANONYMOUS ? NULL : handleOf(file);
    if (handle)
        return mapBuffer(handle, length, protection, flags, offset);
    return (void *)syscall(SYS_mmap, address, length, protection, flags, file, offset);
}

EXPORT void *mmap64(void *address, size_t length, int protection, int flags, int file, off_t offset)
{
    return mmap(address, length, protection, flags, file, offset);
}

/* The requests */

static const struct {
    uint32_t id, type;
    const char *name;
    int32_t minimum, maximum, standard;
} CONTROLS[MAX_CONTROLS] = {
    {V4L2_CID_BRIGHTNESS, V4L2_CTRL_TYPE_INTEGER, "Brightness", 0, 255, 128},
    {V4L2_CID_CONTRAST, V4L2_CTRL_TYPE_INTEGER, "Contrast", 0, 255, 32},
    {V4L2_CID_FOCUS_AUTO, V4L2_CTRL_TYPE_BOOLEAN, "Focus, Automatic Continuous", 0, 1, 1},
};

static int controlAt(uint32_t id)
{
    for (int index = 0; index < MAX_CONTROLS; index++)
        if (CONTROLS[index].id == id)
            return index;
    return -1;
}

static int queryControl(struct v4l2_queryctrl *query)
{
    uint32_t id = query->id;
    int index = -1;
    if (id & V4L2_CTRL_FLAG_NEXT_CTRL) {
        for (int other = 0; other < MAX_CONTROLS && index < 0; other++)
            if (CONTROLS[other].id > (id & V4L2_CTRL_ID_MASK))
                index = other;
    } else
        index = controlAt(id);
    if (index < 0)
        return fail(EINVAL);
    memset(query, 0, sizeof *query);
    query->id = CONTROLS[index].id;
    query->type = CONTROLS[index].type;
    snprintf((char *)query->name, sizeof query->name, "%s", CONTROLS[index].name);
    query->minimum = CONTROLS[index].minimum;
    query->maximum = CONTROLS[index].maximum;
    query->step = 1;
    query->default_value = CONTROLS[index].standard;
    return 0;
}

static int control(struct Device *device, struct v4l2_control *value, int isSet)
{
    int index = controlAt(value->id);
    if (index < 0)
        return fail(EINVAL);
    if (!isSet)
        value->value = device->controls[index];
    else {
        if (value->value < CONTROLS[index].minimum)
            value->value = CONTROLS[index].minimum;
        if (value->value > CONTROLS[index].maximum)
            value->value = CONTROLS[index].maximum;
        device->controls[index] = value->value;
    }
    return 0;
}

static void queryCapability(struct Handle *handle, struct v4l2_capability *capability)
{
    struct Device *device = deviceOf(handle);
    memset(capability, 0, sizeof *capability);
    strcpy((char *)capability->driver, "uvcvideo");
    snprintf((char *)capability->card, sizeof capability->card, "%.31s", device->name);
    snprintf((char *)capability->bus_info, sizeof capability->bus_info, "%.31s", device->bus);
    capability->version = 0x060100;
    uint32_t common = V4L2_CAP_STREAMING | V4L2_CAP_EXT_PIX_FORMAT;
    capability->device_caps = common | (handle->isMetadata ? V4L2_CAP_META_CAPTURE : V4L2_CAP_VIDEO_CAPTURE);
    /* Of all nodes of the camera together. */
    capability->capabilities = common | V4L2_CAP_DEVICE_CAPS | V4L2_CAP_VIDEO_CAPTURE |
                               (device->metadataNumber >= 0 ? V4L2_CAP_META_CAPTURE : 0);
}

static int enumerateFormat(struct Device *device, struct v4l2_fmtdesc *format)
{
    uint32_t index = 0;
    for (uint32_t mode = 0; mode < device->modeCount; mode++) {
        uint32_t fourcc = device->modes[mode].fourcc, before = 0;
        while (device->modes[before].fourcc != fourcc)
            before++;
        if (before < mode || index++ < format->index)
            continue;
        int isJpeg = fourcc == V4L2_PIX_FMT_MJPEG;
        format->flags = isJpeg ? V4L2_FMT_FLAG_COMPRESSED : 0;
        strcpy((char *)format->description, isJpeg ? "Motion-JPEG" : "YUYV 4:2:2");
        format->pixelformat = fourcc;
        return 0;
    }
    return fail(EINVAL);
}

static int enumerateSize(struct Device *device, struct v4l2_frmsizeenum *size)
{
    uint32_t index = 0;
    for (uint32_t number = 0; number < device->modeCount; number++) {
        struct Mode *mode = &device->modes[number], *before = device->modes;
        if (mode->fourcc != size->pixel_format)
            continue;
        while (before->fourcc != mode->fourcc || before->width != mode->width || before->height != mode->height)
            before++;
        if (before < mode || index++ < size->index)
            continue;
        size->type = V4L2_FRMSIZE_TYPE_DISCRETE;
        size->discrete.width = mode->width;
        size->discrete.height = mode->height;
        return 0;
    }
    return fail(EINVAL);
}

static int enumerateInterval(struct Device *device, struct v4l2_frmivalenum *interval)
{
    uint32_t index = 0;
    for (uint32_t number = 0; number < device->modeCount; number++) {
        struct Mode *mode = &device->modes[number];
        if (mode->fourcc != interval->pixel_format || mode->width != interval->width ||
            mode->height != interval->height || index++ < interval->index)
            continue;
        interval->type = V4L2_FRMIVAL_TYPE_DISCRETE;
        interval->discrete.numerator = mode->numerator;
        interval->discrete.denominator = mode->denominator;
        return 0;
    }
    return fail(EINVAL);
}

/* The default format where the wanted one is not there, and the size that has most of its area in common. */
static uint32_t nearestMode(struct Device *device, const struct v4l2_pix_format *wanted)
{
    uint32_t fourcc = device->modes[0].fourcc, best = 0;
    uint64_t least = UINT64_MAX;
    for (uint32_t number = 0; number < device->modeCount; number++)
        if (device->modes[number].fourcc == wanted->pixelformat)
            fourcc = wanted->pixelformat;
    for (uint32_t number = 0; number < device->modeCount; number++) {
        struct Mode *mode = &device->modes[number];
        uint64_t w = wanted->width & 0xffff, h = wanted->height & 0xffff;
        uint64_t common = (w < mode->width ? w : mode->width) * (h < mode->height ? h : mode->height);
        uint64_t apart = w * h + (uint64_t)mode->width * mode->height - 2 * common;
        if (mode->fourcc == fourcc && apart < least) {
            least = apart;
            best = number;
        }
    }
    return best;
}

static void describeFormat(struct Mode *mode, struct v4l2_pix_format *format)
{
    memset(format, 0, sizeof *format);
    format->width = mode->width;
    format->height = mode->height;
    format->pixelformat = mode->fourcc;
    format->field = V4L2_FIELD_NONE;
    format->bytesperline = mode->fourcc == V4L2_PIX_FMT_MJPEG ? 0 : 2 * mode->width;
    format->sizeimage = mode->sizeImage;
    format->colorspace = V4L2_COLORSPACE_SRGB;
}

static void describeRate(struct Handle *handle, struct v4l2_streamparm *parameters)
{
    struct Mode *mode = &deviceOf(handle)->modes[handle->mode];
    uint32_t type = parameters->type;
    memset(parameters, 0, sizeof *parameters);
    parameters->type = type;
    parameters->parm.capture.capability = V4L2_CAP_TIMEPERFRAME;
    parameters->parm.capture.timeperframe.numerator = mode->numerator;
    parameters->parm.capture.timeperframe.denominator = mode->denominator;
}

static int setRate(struct Handle *handle, struct v4l2_streamparm *parameters)
{
    struct Device *device = deviceOf(handle);
    struct Mode *current = &device->modes[handle->mode];
    struct v4l2_fract wanted = parameters->parm.capture.timeperframe;
    if (acquirePrivileges(handle))
        return -1;
    if (handle->streaming)
        return fail(EBUSY);
    double least = 1e9, period = wanted.denominator ? (double)wanted.numerator / wanted.denominator : 0.0;
    for (uint32_t number = 0; number < device->modeCount; number++) {
        struct Mode *mode = &device->modes[number];
        double apart = (double)mode->numerator / mode->denominator - period;
        apart = apart < 0 ? -apart : apart;
        if (mode->fourcc == current->fourcc && mode->width == current->width && mode->height == current->height &&
            apart < least) {
            least = apart;
            handle->mode = number;
        }
    }
    describeRate(handle, parameters);
    return 0;
}

static int requestBuffers(struct Handle *handle, struct v4l2_requestbuffers *request)
{
    if (request->memory != V4L2_MEMORY_MMAP)
        return fail(EINVAL);
    if (acquirePrivileges(handle))
        return -1;
    if (handle->streaming)
        return fail(EBUSY);
    dropBuffers(handle);
    stop(handle);
    request->capabilities = V4L2_BUF_CAP_SUPPORTS_MMAP;
    if (!request->count) {
        dismissPrivileges(handle);
        return 0;
    }
    if (request->count > MAX_BUFFERS)
        request->count = MAX_BUFFERS;
    size_t page = sysconf(_SC_PAGESIZE);
    handle->bufferLength = (deviceOf(handle)->modes[handle->mode].sizeImage + page - 1) / page * page;
    size_t length = handle->bufferLength * request->count;
    handle->memory = memfd_create("fake camera", MFD_CLOEXEC);
    void *address = MAP_FAILED;
    if (handle->memory >= 0 && !ftruncate(handle->memory, length))
        address = mmap(NULL, length, PROT_READ | PROT_WRITE, MAP_SHARED, handle->memory, 0);
    if (address == MAP_FAILED) {
        dropBuffers(handle);
        return fail(ENOMEM);
    }
    handle->mapped = address;
    handle->bufferCount = request->count;
    memset(handle->buffers, 0, sizeof handle->buffers);
    return 0;
}

static void describeBuffer(struct Handle *handle, uint32_t index, struct v4l2_buffer *description)
{
    struct Buffer *buffer = &handle->buffers[index];
    uint32_t type = description->type;
    memset(description, 0, sizeof *description);
    description->index = index;
    description->type = type;
    description->memory = V4L2_MEMORY_MMAP;
    description->bytesused = buffer->used;
    description->length = handle->bufferLength;
    description->m.offset = index * handle->bufferLength;
    description->field = V4L2_FIELD_NONE;
    description->sequence = buffer->sequence;
    description->timestamp.tv_sec = buffer->startedNs / 1000000000;
    description->timestamp.tv_usec = buffer->startedNs / 1000 % 1000000;
    description->flags = V4L2_BUF_FLAG_MAPPED | V4L2_BUF_FLAG_TIMESTAMP_MONOTONIC | V4L2_BUF_FLAG_TSTAMP_SRC_SOE |
                         (buffer->where == QUEUED ? V4L2_BUF_FLAG_QUEUED : 0) |
                         (buffer->where == DONE ? V4L2_BUF_FLAG_DONE : 0) |
                         (buffer->erroneous ? V4L2_BUF_FLAG_ERROR : 0);
}

static int queueBuffer(struct Handle *handle, struct v4l2_buffer *buffer)
{
    if (!handle->hasPrivileges)
        return fail(EBUSY);
    if (buffer->memory != V4L2_MEMORY_MMAP || buffer->index >= handle->bufferCount ||
        handle->buffers[buffer->index].where != OWNED)
        return fail(EINVAL);
    handle->buffers[buffer->index].where = QUEUED;
    handle->buffers[buffer->index].erroneous = 0;
    push(&handle->queued, buffer->index);
    describeBuffer(handle, buffer->index, buffer);
    return 0;
}

static int dequeueBuffer(struct Handle *handle, struct v4l2_buffer *buffer)
{
    for (;;) {
        uint64_t now = nowNs();
        forgetChanges(handle);
        if (isGone(handle))
            return fail(ENODEV);
        if (!handle->hasPrivileges)
            return fail(EBUSY);
        if (!handle->streaming || buffer->memory != V4L2_MEMORY_MMAP)
            return fail(EINVAL);
        advance(handle, now);
        int hangs = deviceOf(handle)->situation == HANGING;
        if (!hangs && transfersFail(handle, now))
            return fail(EIO);
        if (!hangs && handle->done.count) {
            int index = pop(&handle->done);
            handle->buffers[index].where = OWNED;
            describeBuffer(handle, index, buffer);
            return 0;
        }
        if (!hangs && handle->nonBlocking)
            return fail(EAGAIN);
        arm(handle, now);
        pthread_mutex_unlock(&handle->mutex);
        if (hangs)
            sleepMs(10);
        else {
            struct pollfd wait = {.fd = handle->file, .events = POLLIN};
            poll(&wait, 1, -1);
        }
        pthread_mutex_lock(&handle->mutex);
        if (!handle->inUse)
            return fail(EBADF);
    }
}

static int startStream(struct Handle *handle)
{
    if (!handle->hasPrivileges)
        return fail(EBUSY);
    if (!handle->bufferCount)
        return fail(EINVAL);
    if (handle->streaming)
        return 0;
    if (deviceOf(handle)->situation == NO_START)
        return fail(EIO);
    if (deviceOf(handle)->situation == NO_BANDWIDTH)
        return fail(ENOSPC);
    mapFrames(handle);
    handle->streaming = 1;
    handle->startNs = nowNs();
    handle->frame = 0;
    handle->hasBegun = 0;
    return 0;
}

static int answer(struct Handle *handle, uint32_t request, void *data)
{
    struct Device *device = deviceOf(handle);
    if (isGone(handle))
        return fail(ENODEV);
    if (request == VIDIOC_QUERYCAP) {
        queryCapability(handle, data);
        return 0;
    }
    if (handle->isMetadata)
        return fail(EINVAL); /* whatever is asked of frames */
    switch (request) {
    case VIDIOC_ENUM_FMT:
    case VIDIOC_G_FMT:
    case VIDIOC_TRY_FMT:
    case VIDIOC_S_FMT:
    case VIDIOC_G_PARM:
    case VIDIOC_S_PARM:
    case VIDIOC_REQBUFS:
    case VIDIOC_QUERYBUF:
    case VIDIOC_QBUF:
    case VIDIOC_DQBUF:
    case VIDIOC_STREAMON:
    case VIDIOC_STREAMOFF: {
        uint32_t type; /* where each of these has it */
        if (request == VIDIOC_ENUM_FMT)
            type = ((struct v4l2_fmtdesc *)data)->type;
        else if (request == VIDIOC_REQBUFS)
            type = ((struct v4l2_requestbuffers *)data)->type;
        else if (request == VIDIOC_QUERYBUF || request == VIDIOC_QBUF || request == VIDIOC_DQBUF)
            type = ((struct v4l2_buffer *)data)->type;
        else
            type = *(uint32_t *)data;
        if (type != V4L2_BUF_TYPE_VIDEO_CAPTURE)
            return fail(EINVAL);
    }
    }
    struct v4l2_format *format = data;
    struct v4l2_buffer *buffer = data;
    switch (request) {
    case VIDIOC_ENUM_FMT:
        return enumerateFormat(device, data);
    case VIDIOC_ENUM_FRAMESIZES:
        return enumerateSize(device, data);
    case VIDIOC_ENUM_FRAMEINTERVALS:
        return enumerateInterval(device, data);
    case VIDIOC_G_FMT:
        describeFormat(&device->modes[handle->mode], &format->fmt.pix);
        return 0;
    case VIDIOC_TRY_FMT:
        describeFormat(&device->modes[nearestMode(device, &format->fmt.pix)], &format->fmt.pix);
        return 0;
    case VIDIOC_S_FMT:
        if (acquirePrivileges(handle))
            return -1;
        if (handle->bufferCount)
            return fail(EBUSY);
        handle->mode = nearestMode(device, &format->fmt.pix);
        describeFormat(&device->modes[handle->mode], &format->fmt.pix);
        return 0;
    case VIDIOC_G_PARM:
        describeRate(handle, data);
        return 0;
    case VIDIOC_S_PARM:
        return setRate(handle, data);
    case VIDIOC_ENUMINPUT: {
        struct v4l2_input *input = data;
        if (input->index)
            return fail(EINVAL);
        memset(input, 0, sizeof *input);
        strcpy((char *)input->name, "Camera 1");
        input->type = V4L2_INPUT_TYPE_CAMERA;
        return 0;
    }
    case VIDIOC_G_INPUT:
        *(int *)data = 0;
        return 0;
    case VIDIOC_S_INPUT:
        if (acquirePrivileges(handle))
            return -1;
        return *(int *)data ? fail(EINVAL) : 0;
    case VIDIOC_QUERYCTRL:
        return queryControl(data);
    case VIDIOC_G_CTRL:
    case VIDIOC_S_CTRL:
        return control(device, data, request == VIDIOC_S_CTRL);
    case VIDIOC_REQBUFS:
        return requestBuffers(handle, data);
    case VIDIOC_QUERYBUF:
        if (!handle->hasPrivileges)
            return fail(EBUSY);
        if (buffer->index >= handle->bufferCount)
            return fail(EINVAL);
        describeBuffer(handle, buffer->index, buffer);
        return 0;
    case VIDIOC_QBUF:
        advance(handle, nowNs()); /* what came before this was queued */
        return queueBuffer(handle, buffer);
    case VIDIOC_DQBUF:
        return dequeueBuffer(handle, buffer);
    case VIDIOC_STREAMON:
        return startStream(handle);
    case VIDIOC_STREAMOFF:
        if (!handle->hasPrivileges)
            return fail(EBUSY);
        stop(handle);
        return 0;
    }
    return fail(ENOTTY);
}

EXPORT int ioctl(int file, unsigned long request, ...)
{
    va_list arguments;
    va_start(arguments, request);
    void *data = va_arg(arguments, void *);
    va_end(arguments);
    struct Handle *handle = handleOf(file);
    if (!handle)
        return REAL(ioctl)(file, request, data);
    pthread_mutex_lock(&handle->mutex);
    int result = answer(handle, (uint32_t)request, data), error = errno;
    if (handle->inUse)
        arm(handle, nowNs());
    pthread_mutex_unlock(&handle->mutex);
    errno = error;
    return result;
}

/* The files: what stands for a path, or NULL where that is libc's */

static int startsWith(const char *path, const char *start)
{
    return !strncmp(path, start, strlen(start));
}

static int isBelow(const char *path, const char *place)
{
    char next = startsWith(path, place) ? path[strlen(place)] : 'x';
    return next == '\0' || next == '/';
}

static int isNode(const char *path) /* /dev/videoN */
{
    if (!startsWith(path, "/dev/video"))
        return 0;
    const char *digits = path + strlen("/dev/video");
    return *digits && digits[strspn(digits, "0123456789")] == '\0';
}

static const char *ours(const char *path, char *place)
{
    if (!path || *path != '/' || !active())
        return NULL;
    if (!isNode(path) && !isBelow(path, "/dev/v4l") && !isBelow(path, "/sys/class/video4linux") &&
        !isBelow(path, "/sys/devices/platform/fakecamera") && !startsWith(path, "/sys/dev/char/81:"))
        return NULL;
    return snprintf(place, PATH_MAX, "%s%s", root, path) < PATH_MAX ? place : NULL;
}

/* The number of the device whose node this is, or a link to it; -1: it is none. */
static int nodeNumber(const char *place)
{
    char resolved[PATH_MAX];
    if (!startsWith(place + rootLength, "/dev/") || !REAL(realpath)(place, resolved) || !startsWith(resolved, root))
        return -1;
    return isNode(resolved + rootLength) ? atoi(resolved + rootLength + strlen("/dev/video")) : -1;
}

static int isDenied(int number)
{
    for (uint32_t index = 0; index < state->deviceCount; index++) {
        struct Device *device = &state->devices[index];
        if ((device->number == number || device->metadataNumber == number) && device->situation == DENIED)
            return 1;
    }
    return 0;
}

static int hasMode(int flags)
{
    return (flags & O_CREAT) || (flags & O_TMPFILE) == O_TMPFILE;
}

static int openPath(int folderFile, const char *path, int flags, mode_t mode)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    if (place) {
        int number = nodeNumber(place);
        if (number >= 0)
            return openDevice(number, flags);
    }
    return REAL(openat)(folderFile, place ? place : path, flags, mode);
}

#define MODE_ARGUMENT                       \
    mode_t mode = 0;                        \
    if (hasMode(flags)) {                   \
        va_list arguments;                  \
        va_start(arguments, flags);         \
        mode = va_arg(arguments, mode_t);   \
        va_end(arguments);                  \
    }

EXPORT int open(const char *path, int flags, ...)
{
    MODE_ARGUMENT
    return openPath(AT_FDCWD, path, flags, mode);
}

EXPORT int open64(const char *path, int flags, ...)
{
    MODE_ARGUMENT
    return openPath(AT_FDCWD, path, flags, mode);
}

EXPORT int openat(int folderFile, const char *path, int flags, ...)
{
    MODE_ARGUMENT
    return openPath(folderFile, path, flags, mode);
}

EXPORT int openat64(int folderFile, const char *path, int flags, ...)
{
    MODE_ARGUMENT
    return openPath(folderFile, path, flags, mode);
}

/* What a program calls that was compiled with _FORTIFY_SOURCE. */
EXPORT int __open_2(const char *path, int flags)
{
    return openPath(AT_FDCWD, path, flags, 0);
}

EXPORT int __open64_2(const char *path, int flags)
{
    return openPath(AT_FDCWD, path, flags, 0);
}

EXPORT int __openat_2(int folderFile, const char *path, int flags)
{
    return openPath(folderFile, path, flags, 0);
}

EXPORT int __openat64_2(int folderFile, const char *path, int flags)
{
    return openPath(folderFile, path, flags, 0);
}

EXPORT FILE *fopen(const char *path, const char *mode)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    return REAL(fopen)(place ? place : path, mode);
}

EXPORT FILE *fopen64(const char *path, const char *mode)
{
    return fopen(path, mode);
}

static void describeNode(int number, struct stat *status)
{
    status->st_mode = S_IFCHR | 0660;
    status->st_rdev = makedev(81, number);
    status->st_uid = 0;
    status->st_gid = 44; /* the group video, in Debian */
    status->st_size = 0;
}

static int statPath(int folderFile, const char *path, struct stat *status, int flags)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    int result = (int)syscall(SYS_newfstatat, folderFile, place ? place : path, status, flags);
    if (place && !result && S_ISREG(status->st_mode)) {
        int number = nodeNumber(place);
        if (number >= 0)
            describeNode(number, status);
    }
    return result;
}

EXPORT int stat(const char *path, struct stat *status)
{
    return statPath(AT_FDCWD, path, status, 0);
}

EXPORT int lstat(const char *path, struct stat *status)
{
    return statPath(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}

EXPORT int fstatat(int folderFile, const char *path, struct stat *status, int flags)
{
    return statPath(folderFile, path, status, flags);
}

EXPORT int fstat(int file, struct stat *status)
{
    struct Handle *handle = handleOf(file);
    int result = realFstat(file, status);
    if (handle && !result) {
        struct Device *device = deviceOf(handle);
        describeNode(handle->isMetadata ? device->metadataNumber : device->number, status);
    }
    return result;
}

EXPORT int stat64(const char *path, struct stat64 *status)
{
    return statPath(AT_FDCWD, path, (struct stat *)status, 0);
}

EXPORT int lstat64(const char *path, struct stat64 *status)
{
    return statPath(AT_FDCWD, path, (struct stat *)status, AT_SYMLINK_NOFOLLOW);
}

EXPORT int fstatat64(int folderFile, const char *path, struct stat64 *status, int flags)
{
    return statPath(folderFile, path, (struct stat *)status, flags);
}

EXPORT int fstat64(int file, struct stat64 *status)
{
    return fstat(file, (struct stat *)status);
}

/* What programs call that were linked with a glibc before 2.33. */
EXPORT int __xstat(int version, const char *path, struct stat *status)
{
    (void)version;
    return statPath(AT_FDCWD, path, status, 0);
}

EXPORT int __lxstat(int version, const char *path, struct stat *status)
{
    (void)version;
    return statPath(AT_FDCWD, path, status, AT_SYMLINK_NOFOLLOW);
}

EXPORT int __xstat64(int version, const char *path, struct stat64 *status)
{
    (void)version;
    return statPath(AT_FDCWD, path, (struct stat *)status, 0);
}

EXPORT int __lxstat64(int version, const char *path, struct stat64 *status)
{
    (void)version;
    return statPath(AT_FDCWD, path, (struct stat *)status, AT_SYMLINK_NOFOLLOW);
}

EXPORT int statx(int folderFile, const char *path, int flags, unsigned int mask, struct statx *status)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    int result = REAL(statx)(folderFile, place ? place : path, flags, mask, status);
    if (place && !result && S_ISREG(status->stx_mode)) {
        int number = nodeNumber(place);
        if (number >= 0) {
            status->stx_mode = S_IFCHR | 0660;
            status->stx_rdev_major = 81;
            status->stx_rdev_minor = number;
        }
    }
    return result;
}

EXPORT int faccessat(int folderFile, const char *path, int mode, int flags)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    if (place) {
        int number = nodeNumber(place);
        if (number >= 0)
            return (mode & X_OK) || (mode && isDenied(number)) ? fail(EACCES) : 0;
    }
    return REAL(faccessat)(folderFile, place ? place : path, mode, flags);
}

EXPORT int access(const char *path, int mode)
{
    return faccessat(AT_FDCWD, path, mode, 0);
}

EXPORT ssize_t readlink(const char *path, char *target, size_t size)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    return REAL(readlink)(place ? place : path, target, size);
}

EXPORT ssize_t readlinkat(int folderFile, const char *path, char *target, size_t size)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    return REAL(readlinkat)(folderFile, place ? place : path, target, size);
}

EXPORT char *realpath(const char *path, char *resolved)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    char *result = REAL(realpath)(place ? place : path, resolved);
    if (place && result && startsWith(result, root))
        memmove(result, result + rootLength, strlen(result + rootLength) + 1);
    return result;
}

EXPORT char *canonicalize_file_name(const char *path)
{
    return realpath(path, NULL);
}

EXPORT int inotify_add_watch(int file, const char *path, uint32_t mask)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    if (active() && !strcmp(path, "/dev") && snprintf(buffer, sizeof buffer, "%s/dev", root) < PATH_MAX)
        place = buffer;
    return REAL(inotify_add_watch)(file, place ? place : path, mask);
}

/* /dev is listed as it is, with its video devices replaced. */

enum { MAX_LISTINGS = 16 };

static struct {
    DIR *real, *added;
} listings[MAX_LISTINGS];
static int listingCount;
static pthread_mutex_t listingMutex = PTHREAD_MUTEX_INITIALIZER;

EXPORT DIR *opendir(const char *path)
{
    char buffer[PATH_MAX];
    const char *place = ours(path, buffer);
    DIR *listing = REAL(opendir)(place ? place : path);
    if (!listing || !active() || (strcmp(path, "/dev") && strcmp(path, "/dev/")))
        return listing;
    snprintf(buffer, sizeof buffer, "%s/dev", root);
    DIR *added = REAL(opendir)(buffer);
    pthread_mutex_lock(&listingMutex);
    for (int index = 0; index < MAX_LISTINGS && added; index++)
        if (!listings[index].real) {
            listings[index].real = listing;
            listings[index].added = added;
            __atomic_fetch_add(&listingCount, 1, __ATOMIC_RELEASE);
            added = NULL;
        }
    pthread_mutex_unlock(&listingMutex);
    if (added)
        REAL(closedir)(added);
    return listing;
}

static DIR *addedTo(DIR *listing)
{
    DIR *added = NULL;
    if (!__atomic_load_n(&listingCount, __ATOMIC_ACQUIRE))
        return NULL;
    pthread_mutex_lock(&listingMutex);
    for (int index = 0; index < MAX_LISTINGS; index++)
        if (listings[index].real == listing)
            added = listings[index].added;
    pthread_mutex_unlock(&listingMutex);
    return added;
}

EXPORT struct dirent *readdir(DIR *listing)
{
    DIR *added = addedTo(listing);
    struct dirent *entry = REAL(readdir)(listing);
    if (!added)
        return entry;
    for (char path[300]; entry; entry = REAL(readdir)(listing)) {
        snprintf(path, sizeof path, "/dev/%s", entry->d_name);
        if (!isNode(path) && !isBelow(path, "/dev/v4l"))
            return entry;
    }
    do
        entry = REAL(readdir)(added);
    while (entry && (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, "..")));
    if (entry && entry->d_type == DT_REG)
        entry->d_type = DT_CHR;
    return entry;
}

EXPORT struct dirent64 *readdir64(DIR *listing)
{
    return (struct dirent64 *)readdir(listing);
}

EXPORT int closedir(DIR *listing)
{
    if (__atomic_load_n(&listingCount, __ATOMIC_ACQUIRE)) {
        pthread_mutex_lock(&listingMutex);
        for (int index = 0; index < MAX_LISTINGS; index++)
            if (listings[index].real == listing) {
                REAL(closedir)(listings[index].added);
                listings[index].real = listings[index].added = NULL;
                __atomic_fetch_sub(&listingCount, 1, __ATOMIC_RELEASE);
            }
        pthread_mutex_unlock(&listingMutex);
    }
    return REAL(closedir)(listing);
}
