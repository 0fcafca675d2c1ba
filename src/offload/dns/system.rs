//! The system's resolver: plain data in, plain data out, from any thread.

use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::mem::MaybeUninit;
use std::ptr;

// What the crate libc does not declare on every Linux.
unsafe extern "C" {
    fn gethostbyname_r(
        name: *const c_char,
        entry: *mut libc::hostent,
        buffer: *mut c_char,
        size: libc::size_t,
        result: *mut *mut libc::hostent,
        error: *mut c_int,
    ) -> c_int;
    fn gethostbyaddr_r(
        address: *const c_void,
        len: libc::socklen_t,
        family: c_int,
        entry: *mut libc::hostent,
        buffer: *mut c_char,
        size: libc::size_t,
        result: *mut *mut libc::hostent,
        error: *mut c_int,
    ) -> c_int;
}

/// Why there is no answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Failure {
    /// A code of `getaddrinfo`.
    Address(c_int),
    /// A code of `gethostbyname`.
    Host(c_int),
    /// An errno.
    System(c_int),
    /// The host has several addresses where one was expected.
    Ambiguous,
    /// Answered with another family than was asked for.
    OtherFamily,
}

pub(super) type Result<T> = std::result::Result<T, Failure>;

#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    V4,
    Any,
}

impl Family {
    fn code(self) -> c_int {
        match self {
            Self::V4 => libc::AF_INET,
            Self::Any => libc::AF_UNSPEC,
        }
    }
}

/// A socket address of any family.
#[derive(Clone, Copy)]
pub(super) struct Address {
    storage: libc::sockaddr_storage,
    len: libc::socklen_t,
}

impl std::fmt::Debug for Address {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "Address(family {})", self.family())
    }
}

impl Address {
    /// Copies an address as the system hands it out.
    ///
    /// # Safety
    /// `start` leads to `len` readable bytes.
    unsafe fn copy(start: *const libc::sockaddr, len: libc::socklen_t) -> Self {
        let mut storage = MaybeUninit::<libc::sockaddr_storage>::zeroed();
        let len = (len as usize).min(size_of_val(&storage));
        // SAFETY: by contract; the lengths fit, and zeros are a valid storage.
        unsafe {
            ptr::copy_nonoverlapping(start.cast::<u8>(), storage.as_mut_ptr().cast(), len);
            Self {
                storage: storage.assume_init(),
                len: len as libc::socklen_t,
            }
        }
    }

    pub(super) fn family(&self) -> c_int {
        c_int::from(self.storage.ss_family)
    }

    pub(super) fn v4(&self) -> Option<&libc::sockaddr_in> {
        // SAFETY: the family tells what lies in the storage, which is aligned for each.
        (self.family() == libc::AF_INET)
            .then(|| unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in>() })
    }

    pub(super) fn v6(&self) -> Option<&libc::sockaddr_in6> {
        // SAFETY: as for `v4`.
        (self.family() == libc::AF_INET6)
            .then(|| unsafe { &*(&raw const self.storage).cast::<libc::sockaddr_in6>() })
    }

    /// Sets what only an IPv6 address has.
    pub(super) fn set_v6(&mut self, flow: u32, scope: u32) {
        if self.family() == libc::AF_INET6 {
            // SAFETY: as for `v4`.
            let inner = unsafe { &mut *(&raw mut self.storage).cast::<libc::sockaddr_in6>() };
            inner.sin6_flowinfo = flow.to_be();
            inner.sin6_scope_id = scope;
        }
    }

    /// What follows the family, as much as a plain `sockaddr` holds.
    pub(super) fn data(&self) -> [u8; 14] {
        // SAFETY: a storage is larger than a sockaddr, and all of it is initialised.
        let plain = unsafe { &*(&raw const self.storage).cast::<libc::sockaddr>() };
        plain.sa_data.map(|byte| byte as u8)
    }

    fn as_ptr(&self) -> *const libc::sockaddr {
        (&raw const self.storage).cast()
    }
}

/// One answer of `getaddrinfo`.
#[derive(Debug)]
pub(super) struct Entry {
    pub(super) family: c_int,
    pub(super) kind: c_int,
    pub(super) protocol: c_int,
    pub(super) canonical: Vec<u8>,
    pub(super) address: Address,
}

/// What is asked of `getaddrinfo` besides names.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Hints {
    pub(super) family: c_int,
    pub(super) kind: c_int,
    pub(super) protocol: c_int,
    pub(super) flags: c_int,
}

/// `getaddrinfo`.
pub(super) fn addresses(
    host: Option<&CStr>,
    service: Option<&CStr>,
    hints: Hints,
) -> Result<Vec<Entry>> {
    // SAFETY: zeros are a valid addrinfo, with no pointers.
    let mut wanted: libc::addrinfo = unsafe { MaybeUninit::zeroed().assume_init() };
    wanted.ai_family = hints.family;
    wanted.ai_socktype = hints.kind;
    wanted.ai_protocol = hints.protocol;
    wanted.ai_flags = hints.flags;
    let mut list = ptr::null_mut();
    // SAFETY: names are NULL or end with NUL, the others lead to locals.
    let code = unsafe {
        libc::getaddrinfo(
            host.map_or(ptr::null(), CStr::as_ptr),
            service.map_or(ptr::null(), CStr::as_ptr),
            &raw const wanted,
            &raw mut list,
        )
    };
    if code != 0 {
        return Err(address_failure(code));
    }
    let mut found = Vec::new();
    let mut next = list;
    while !next.is_null() {
        // SAFETY: the system's list is linked and terminated; its names end with NUL.
        unsafe {
            let info = &*next;
            found.push(Entry {
                family: info.ai_family,
                kind: info.ai_socktype,
                protocol: info.ai_protocol,
                canonical: text(info.ai_canonname),
                address: Address::copy(info.ai_addr, info.ai_addrlen),
            });
            next = info.ai_next;
        }
    }
    // SAFETY: the list came from getaddrinfo and is not used any more.
    unsafe { libc::freeaddrinfo(list) };
    Ok(found)
}

fn address_failure(code: c_int) -> Failure {
    if code == libc::EAI_SYSTEM {
        return Failure::System(errno());
    }
    Failure::Address(code)
}

fn errno() -> c_int {
    std::io::Error::last_os_error().raw_os_error().unwrap_or(0)
}

/// The bytes of a string, none for NULL.
///
/// # Safety
/// `start` is NULL or leads to a string that ends with NUL.
unsafe fn text(start: *const c_char) -> Vec<u8> {
    if start.is_null() {
        return Vec::new();
    }
    // SAFETY: by contract.
    unsafe { CStr::from_ptr(start) }.to_bytes().to_vec()
}

/// The address that a host is, without looking up a name; None for names. Never blocks.
pub(super) fn known_address(host: &CStr, family: Family) -> Option<Address> {
    let hints = Hints {
        family: family.code(),
        kind: libc::SOCK_DGRAM,
        ..Hints::default()
    };
    match host.to_bytes() {
        // All interfaces of this machine. If there are several kinds, CPython refuses.
        b"" => {
            let flags = libc::AI_PASSIVE;
            let found = addresses(None, Some(c"0"), Hints { flags, ..hints }).ok()?;
            match found.as_slice() {
                [only] => Some(only.address),
                _ => None,
            }
        }
        b"<broadcast>" => numeric(c"255.255.255.255", hints),
        b"255.255.255.255" if family == Family::V4 => numeric(host, hints),
        bytes => {
            let digits = std::str::from_utf8(bytes).ok()?;
            digits.parse::<std::net::IpAddr>().ok()?;
            numeric(host, hints)
        }
    }
}

fn numeric(host: &CStr, hints: Hints) -> Option<Address> {
    let flags = libc::AI_NUMERICHOST;
    let found = addresses(Some(host), None, Hints { flags, ..hints }).ok()?;
    Some(found.first()?.address)
}

/// The first address of a host.
pub(super) fn first_address(host: &CStr, family: Family) -> Result<Address> {
    let hints = Hints {
        family: family.code(),
        ..Hints::default()
    };
    if host.is_empty() {
        let hints = Hints {
            kind: libc::SOCK_DGRAM,
            flags: libc::AI_PASSIVE,
            ..hints
        };
        let found = addresses(None, Some(c"0"), hints)?;
        let [only] = found.as_slice() else {
            return Err(Failure::Ambiguous);
        };
        return Ok(only.address);
    }
    let found = addresses(Some(host), None, hints)?;
    let first = found.first().ok_or(Failure::Address(libc::EAI_NONAME))?;
    Ok(first.address)
}

/// What `gethostbyname` and its kin tell of a host.
#[derive(Debug)]
pub(super) struct Host {
    pub(super) name: Vec<u8>,
    pub(super) aliases: Vec<Vec<u8>>,
    pub(super) addresses: Vec<std::net::IpAddr>,
}

/// `gethostbyname`, for IPv4.
pub(super) fn host_by_name(host: &CStr) -> Result<Host> {
    host_entry(libc::AF_INET, |entry, buffer, size, result, error| {
        // SAFETY: called by `host_entry` with room of the sizes told.
        unsafe { gethostbyname_r(host.as_ptr(), entry, buffer, size, result, error) }
    })
}

/// `gethostbyaddr`.
pub(super) fn host_by_address(address: &Address) -> Result<Host> {
    let (start, len): (*const c_void, usize) = if let Some(v4) = address.v4() {
        ((&raw const v4.sin_addr).cast(), 4)
    } else if let Some(v6) = address.v6() {
        ((&raw const v6.sin6_addr).cast(), 16)
    } else {
        return Err(Failure::System(libc::EAFNOSUPPORT));
    };
    let (family, len) = (address.family(), len as libc::socklen_t);
    host_entry(family, |entry, buffer, size, result, error| {
        // SAFETY: as for `host_by_name`; the address lives in the caller's.
        unsafe { gethostbyaddr_r(start, len, family, entry, buffer, size, result, error) }
    })
}

/// Calls one of the two with as much room as it wants, and copies the answer.
fn host_entry(
    family: c_int,
    call: impl Fn(*mut libc::hostent, *mut c_char, usize, *mut *mut libc::hostent, *mut c_int) -> c_int,
) -> Result<Host> {
    let mut buffer: Vec<c_char> = vec![0; 16 << 10];
    loop {
        let mut entry = MaybeUninit::<libc::hostent>::zeroed();
        let (mut result, mut error) = (ptr::null_mut(), 0);
        let code = call(
            entry.as_mut_ptr(),
            buffer.as_mut_ptr(),
            buffer.len(),
            &raw mut result,
            &raw mut error,
        );
        if code == libc::ERANGE && buffer.len() < 1 << 20 {
            buffer.resize(buffer.len() * 4, 0);
            continue;
        }
        if result.is_null() {
            return Err(Failure::Host(error));
        }
        // SAFETY: the entry was filled; what it leads to lies in the buffer.
        return unsafe { copy_host(family, &*result) };
    }
}

/// # Safety
/// The entry was filled by the system.
unsafe fn copy_host(family: c_int, entry: &libc::hostent) -> Result<Host> {
    if entry.h_addrtype != family {
        return Err(Failure::OtherFamily);
    }
    // SAFETY: by contract both lists end with NULL, and addresses have the family's length.
    unsafe {
        Ok(Host {
            name: text(entry.h_name),
            aliases: terminated(entry.h_aliases).map(|name| text(name)).collect(),
            addresses: terminated(entry.h_addr_list)
                .map(|address| {
                    if family == libc::AF_INET {
                        address.cast::<[u8; 4]>().read_unaligned().into()
                    } else {
                        address.cast::<[u8; 16]>().read_unaligned().into()
                    }
                })
                .collect(),
        })
    }
}

/// The pointers of a list before the NULL that ends it; none for NULL itself.
///
/// # Safety
/// `list` is NULL or such a list, and stays so while the iterator is used.
unsafe fn terminated(list: *mut *mut c_char) -> impl Iterator<Item = *mut c_char> {
    (0..)
        // SAFETY: by contract; the iterator ends with the first NULL.
        .map_while(move |index| (!list.is_null()).then(|| unsafe { *list.add(index) }))
        .take_while(|pointer| !pointer.is_null())
}

/// `getnameinfo`: host and service.
pub(super) fn names_of(address: &Address, flags: c_int) -> Result<(Vec<u8>, Vec<u8>)> {
    // The lengths of the system's NI_MAXHOST and NI_MAXSERV.
    let (mut host, mut service): ([c_char; 1025], [c_char; 32]) = ([0; 1025], [0; 32]);
    // SAFETY: the address and both buffers have the lengths told.
    let code = unsafe {
        libc::getnameinfo(
            address.as_ptr(),
            address.len,
            host.as_mut_ptr(),
            host.len() as libc::socklen_t,
            service.as_mut_ptr(),
            service.len() as libc::socklen_t,
            flags,
        )
    };
    if code != 0 {
        return Err(address_failure(code));
    }
    // SAFETY: the system ends what it writes with NUL.
    unsafe { Ok((text(host.as_ptr()), text(service.as_ptr()))) }
}

/// The one address in digits that `getnameinfo` is asked about.
pub(super) fn address_in_digits(host: &CStr, port: i32) -> Result<Address> {
    let service = CString::new(port.to_string()).unwrap_or_default();
    let hints = Hints {
        kind: libc::SOCK_DGRAM,
        flags: libc::AI_NUMERICHOST,
        ..Hints::default()
    };
    let found = addresses(Some(host), Some(&service), hints)?;
    match found.as_slice() {
        [only] => Ok(only.address),
        _ => Err(Failure::Ambiguous),
    }
}
