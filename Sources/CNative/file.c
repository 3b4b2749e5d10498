/* See native_file.h. ELF of 64 bits in the machine's own byte order; others are refused by their header. */
#define _GNU_SOURCE
#include "include/native_file.h"

#include <elf.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../include/obhut_plugin.h"

#if defined(__x86_64__)
#define OWN_MACHINE EM_X86_64
#define RELATIVE R_X86_64_RELATIVE
#define ABSOLUTE R_X86_64_64
#elif defined(__aarch64__)
#define OWN_MACHINE EM_AARCH64
#define RELATIVE R_AARCH64_RELATIVE
#define ABSOLUTE R_AARCH64_ABS64
#else
#error "unknown machine"
#endif

struct obn_file {
    const uint8_t *bytes;
    uint64_t length;
    const Elf64_Phdr *segments;
    uint64_t segment_count;
    const Elf64_Shdr *sections;
    uint64_t section_count;
    const Elf64_Sym *symbols;
    uint64_t symbol_count;
    const char *names;
    uint64_t names_length;
};

static const char *machine_name(uint16_t machine, char other[24]) {
    switch (machine) {
    case EM_X86_64: return "x86-64";
    case EM_AARCH64: return "AArch64";
    case EM_386: return "32-bit x86";
    case EM_ARM: return "32-bit ARM";
    case EM_RISCV: return "RISC-V";
    case EM_PPC64: return "PowerPC";
    case EM_S390: return "S/390";
    default: snprintf(other, 24, "machine %u", machine); return other;
    }
}

/* 0, or -1 and `text`. */
static int32_t check_header(const Elf64_Ehdr *header, size_t length, const char *path, char *text, size_t size) {
    char one[24], two[24];
    if (length < SELFMAG || memcmp(header->e_ident, ELFMAG, SELFMAG) != 0) {
        snprintf(text, size, "%s is no shared library: it is not in the format ELF", path);
        return -1;
    }
    if (length < sizeof *header) {
        snprintf(text, size, "%s is cut off: its ELF header is not whole", path);
        return -1;
    }
    /* e_machine lies at the same place in both classes. */
    if (header->e_ident[EI_DATA] != ELFDATA2LSB || header->e_ident[EI_CLASS] != ELFCLASS64
        || header->e_machine != OWN_MACHINE) {
        const char *wide = header->e_ident[EI_CLASS] == ELFCLASS32 ? " (32 bits)" : "";
        if (header->e_ident[EI_DATA] != ELFDATA2LSB)
            snprintf(text, size, "%s is for another architecture: its byte order is another than this machine's", path);
        else
            snprintf(text, size, "%s is for another architecture: it is for %s%s, this program for %s", path,
                     machine_name(header->e_machine, one), wide, machine_name(OWN_MACHINE, two));
        return -1;
    }
    if (header->e_type != ET_DYN) {
        snprintf(text, size, "%s is no shared library: it is %s", path,
                 header->e_type == ET_REL ? "an object file" : header->e_type == ET_EXEC ? "a program" : "another kind of ELF file");
        return -1;
    }
    return 0;
}

/* A descriptor of a regular file, or -1 and `text`. */
static int open_regular(const char *path, uint64_t *length, char *text, size_t size) {
    struct stat status;
    /* Without O_NONBLOCK, opening a named pipe waits for a writer. */
    int file = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
    if (file < 0) {
        int code = errno;
        if (code == ENOENT || code == ENOTDIR) snprintf(text, size, "%s does not exist", path);
        else snprintf(text, size, "%s cannot be read: %s", path, strerror(code));
        return -1;
    }
    if (fstat(file, &status) != 0 || !S_ISREG(status.st_mode)) {
        snprintf(text, size, "%s is no file", path);
        close(file);
        return -1;
    }
    *length = (uint64_t)status.st_size;
    return file;
}

int32_t obn_file_check(const char *path, char *text, size_t size) {
    Elf64_Ehdr header;
    uint64_t length;
    ssize_t count;
    int file = open_regular(path, &length, text, size);
    if (file < 0) return -1;
    memset(&header, 0, sizeof header);
    do count = read(file, &header, sizeof header);
    while (count < 0 && errno == EINTR);
    close(file);
    return check_header(&header, count < 0 ? 0 : (size_t)count, path, text, size);
}

/* `count` things of `each` bytes at an offset of the file, if they lie inside and are aligned; else NULL. */
static const void *part(const obn_file *file, uint64_t offset, uint64_t count, uint64_t each) {
    if (offset % 8 || offset > file->length || count > (file->length - offset) / each) return NULL;
    return file->bytes + offset;
}

obn_file *obn_file_open(const char *path, char *text, size_t size) {
    const Elf64_Ehdr *header;
    obn_file *file;
    uint64_t length, i;
    void *bytes;
    int descriptor = open_regular(path, &length, text, size);
    if (descriptor < 0) return NULL;
    bytes = length ? mmap(NULL, length, PROT_READ, MAP_PRIVATE, descriptor, 0) : NULL;
    close(descriptor);
    if (bytes == MAP_FAILED) {
        snprintf(text, size, "%s cannot be read: %s", path, strerror(errno));
        return NULL;
    }
    file = calloc(1, sizeof *file);
    if (!file || check_header(bytes, length, path, text, size) != 0) {
        if (!file) snprintf(text, size, "no memory is left");
        if (bytes) munmap(bytes, length);
        free(file);
        return NULL;
    }
    file->bytes = bytes;
    file->length = length;
    header = bytes;
    if (header->e_phentsize == sizeof(Elf64_Phdr))
        file->segments = part(file, header->e_phoff, header->e_phnum, sizeof(Elf64_Phdr));
    file->segment_count = file->segments ? header->e_phnum : 0;
    if (header->e_shentsize == sizeof(Elf64_Shdr))
        file->sections = part(file, header->e_shoff, header->e_shnum, sizeof(Elf64_Shdr));
    file->section_count = file->sections ? header->e_shnum : 0;
    for (i = 0; i < file->section_count; i++) {
        const Elf64_Shdr *section = &file->sections[i], *strings;
        const Elf64_Sym *symbols;
        uint64_t count = section->sh_size / sizeof(Elf64_Sym);
        if (section->sh_type != SHT_DYNSYM || section->sh_link >= file->section_count) continue;
        strings = &file->sections[section->sh_link];
        symbols = part(file, section->sh_offset, count, sizeof(Elf64_Sym));
        if (!symbols || strings->sh_offset > length || strings->sh_size > length - strings->sh_offset) continue;
        file->symbols = symbols;
        file->symbol_count = count;
        file->names = (const char *)file->bytes + strings->sh_offset;
        file->names_length = strings->sh_size;
    }
    if (!file->names) {
        snprintf(text, size, "%s is damaged, or was stripped of its section headers: its symbols cannot be read", path);
        obn_file_close(file);
        return NULL;
    }
    return file;
}

void obn_file_close(obn_file *file) {
    if (!file) return;
    munmap((void *)(uintptr_t)file->bytes, file->length);
    free(file);
}

/* MARK: Symbols */

static const char *name_of(const obn_file *file, const Elf64_Sym *symbol) {
    uint64_t offset = symbol->st_name;
    if (offset == 0 || offset >= file->names_length) return NULL;
    return memchr(file->names + offset, 0, file->names_length - offset) ? file->names + offset : NULL;
}

size_t obn_file_symbol_count(const obn_file *file) { return file->symbol_count; }

const char *obn_file_symbol_at(const obn_file *file, size_t index, obn_symbol_kind *kind) {
    const Elf64_Sym *symbol = &file->symbols[index];
    unsigned binding = ELF64_ST_BIND(symbol->st_info), visibility = ELF64_ST_VISIBILITY(symbol->st_other);
    *kind = OBN_SYMBOL_NONE;
    if (index >= file->symbol_count || symbol->st_shndx == SHN_UNDEF) return NULL;
    if (binding != STB_GLOBAL && binding != STB_WEAK && binding != STB_GNU_UNIQUE) return NULL;
    if (visibility != STV_DEFAULT && visibility != STV_PROTECTED) return NULL;
    switch (ELF64_ST_TYPE(symbol->st_info)) {
    case STT_FUNC:
    case STT_GNU_IFUNC: *kind = OBN_SYMBOL_FUNCTION; break;
    /* Written in assembler, perhaps, and not told what it is. Versions are such symbols too, absolute ones. */
    case STT_NOTYPE: if (symbol->st_shndx == SHN_ABS) return NULL; *kind = OBN_SYMBOL_FUNCTION; break;
    default: if (symbol->st_shndx == SHN_ABS) return NULL; *kind = OBN_SYMBOL_DATA; break;
    }
    return name_of(file, symbol);
}

static const Elf64_Sym *find_symbol(const obn_file *file, const char *name, obn_symbol_kind *kind) {
    uint64_t i;
    for (i = 0; i < file->symbol_count; i++) {
        const char *found = obn_file_symbol_at(file, i, kind);
        if (found && strcmp(found, name) == 0) return &file->symbols[i];
    }
    *kind = OBN_SYMBOL_NONE;
    return NULL;
}

obn_symbol_kind obn_file_symbol(const obn_file *file, const char *name) {
    obn_symbol_kind kind;
    find_symbol(file, name, &kind);
    return kind;
}

/* MARK: Data, at the addresses that it will have relative to where the library is loaded */

/* `count` bytes at an address, as the file has them; NULL if it has not. */
static const uint8_t *at_address(const obn_file *file, uint64_t address, uint64_t count, uint64_t *more) {
    uint64_t i;
    for (i = 0; i < file->segment_count; i++) {
        const Elf64_Phdr *segment = &file->segments[i];
        uint64_t offset = address - segment->p_vaddr;
        if (segment->p_type != PT_LOAD || address < segment->p_vaddr || offset >= segment->p_filesz) continue;
        if (segment->p_offset > file->length || segment->p_filesz > file->length - segment->p_offset) continue;
        if (count > segment->p_filesz - offset) continue;
        if (more) *more = segment->p_filesz - offset;
        return file->bytes + segment->p_offset + offset;
    }
    return NULL;
}

/* The address that the loader will write at an address; 0: none. */
static uint64_t pointer_at(const obn_file *file, uint64_t address) {
    uint64_t i, j, word = 0;
    const uint8_t *bytes;
    for (i = 0; i < file->section_count; i++) {
        const Elf64_Shdr *section = &file->sections[i];
        uint64_t count = section->sh_size / sizeof(Elf64_Rela);
        const Elf64_Rela *entries;
        if (section->sh_type != SHT_RELA) continue;
        entries = part(file, section->sh_offset, count, sizeof(Elf64_Rela));
        for (j = 0; entries && j < count; j++) {
            uint64_t index = ELF64_R_SYM(entries[j].r_info);
            if (entries[j].r_offset != address) continue;
            if (ELF64_R_TYPE(entries[j].r_info) == RELATIVE) return (uint64_t)entries[j].r_addend;
            if (ELF64_R_TYPE(entries[j].r_info) == ABSOLUTE && index < file->symbol_count
                && file->symbols[index].st_shndx != SHN_UNDEF)
                return file->symbols[index].st_value + (uint64_t)entries[j].r_addend;
            return 0;
        }
    }
    /* Relative ones in the packed form (SHT_RELR) have their value in the place. */
    bytes = at_address(file, address, sizeof word, NULL);
    if (bytes) memcpy(&word, bytes, sizeof word);
    return word;
}

static const char *text_at(const obn_file *file, uint64_t address) {
    uint64_t more;
    const uint8_t *bytes = address ? at_address(file, address, 1, &more) : NULL;
    return bytes && memchr(bytes, 0, more) ? (const char *)bytes : NULL;
}

/* MARK: Descriptor */

int32_t obn_plugin_check(uint32_t abi, uint32_t pointer_size, uint64_t struct_size, uint64_t functions_size,
                         uint64_t entry_size, char *text, size_t size) {
    if (abi != OBHUT_PLUGIN_ABI) {
        snprintf(text, size, "it was built for plugin ABI %u and this runtime has %u: %s", abi, OBHUT_PLUGIN_ABI,
                 abi > OBHUT_PLUGIN_ABI ? "upgrade libobhut" : "build the plugin again, with the obhut_plugin.h of this version");
        return -1;
    }
    if (pointer_size != sizeof(void *)) {
        snprintf(text, size, "its pointers have %u bytes and those of this runtime %zu: build the plugin for this architecture",
                 pointer_size, sizeof(void *));
        return -1;
    }
    if (functions_size > sizeof(obhut_context_functions) ) {
        snprintf(text, size, "it was built with a newer obhut_plugin.h (%llu bytes of functions, this runtime has %zu): upgrade libobhut",
                 (unsigned long long)functions_size, sizeof(obhut_context_functions));
        return -1;
    }
    if (struct_size < sizeof(obhut_plugin_descriptor) || entry_size < sizeof(obhut_plugin_entry) || entry_size > 4096) {
        snprintf(text, size, "its descriptor is damaged (%llu bytes, entries of %llu; this runtime has %zu and %zu): "
                 "build the plugin again, with the obhut_plugin.h of this version",
                 (unsigned long long)struct_size, (unsigned long long)entry_size, sizeof(obhut_plugin_descriptor),
                 sizeof(obhut_plugin_entry));
        return -1;
    }
    return 0;
}

#define FIELD(descriptor, field) (descriptor + offsetof(obhut_plugin_descriptor, field))

int32_t obn_file_plugin(const obn_file *file, obn_plugin *plugin, char *text, size_t size) {
    obn_symbol_kind kind;
    const Elf64_Sym *symbol = find_symbol(file, "obhut_plugin", &kind);
    obhut_plugin_descriptor image;
    const uint8_t *bytes;
    uint64_t more = 0, address;
    memset(plugin, 0, sizeof *plugin);
    if (size) text[0] = 0;
    if (!symbol) return 0;
    address = symbol->st_value;
    bytes = kind == OBN_SYMBOL_DATA ? at_address(file, address, 2 * sizeof(uint32_t), &more) : NULL;
    if (!bytes) {
        snprintf(text, size, "its symbol obhut_plugin is no descriptor (an obhut_plugin_descriptor)");
        return -1;
    }
    memset(&image, 0, sizeof image);
    memcpy(&image, bytes, more < sizeof image ? more : sizeof image);
    plugin->abi = image.abi;
    if (obn_plugin_check(image.abi, image.pointer_size, image.struct_size, image.functions_size, image.entry_size, text, size) != 0)
        return -1;
    plugin->name = text_at(file, pointer_at(file, FIELD(address, name)));
    plugin->version = text_at(file, pointer_at(file, FIELD(address, version)));
    plugin->entries = pointer_at(file, FIELD(address, entries));
    plugin->entry_count = image.entry_count;
    plugin->entry_size = image.entry_size;
    if (image.entry_count > 4096
        || (image.entry_count && !at_address(file, plugin->entries, image.entry_count * image.entry_size, NULL))) {
        snprintf(text, size, "its descriptor is damaged: it has %zu entries, and not the memory of them", image.entry_count);
        return -1;
    }
    return 1;
}

int32_t obn_file_plugin_entry(const obn_file *file, const obn_plugin *plugin, size_t index, obn_plugin_entry *entry) {
    uint64_t address = plugin->entries + index * plugin->entry_size;
    const uint8_t *bytes = at_address(file, address, sizeof(obhut_plugin_entry), NULL);
    memset(entry, 0, sizeof *entry);
    if (index >= plugin->entry_count || !bytes) return -1;
    entry->name = text_at(file, pointer_at(file, address + offsetof(obhut_plugin_entry, name)));
    entry->symbol = text_at(file, pointer_at(file, address + offsetof(obhut_plugin_entry, symbol)));
    entry->signature = text_at(file, pointer_at(file, address + offsetof(obhut_plugin_entry, signature)));
    memcpy(&entry->mode, bytes + offsetof(obhut_plugin_entry, mode), sizeof entry->mode);
    return entry->name && entry->symbol ? 0 : -1;
}
