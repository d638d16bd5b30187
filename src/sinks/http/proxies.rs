//! The variables that name proxies, looked at before the library does, which passes over what it can't use: events must
//! not go straight out of a house whose door is a proxy.

use reqwest::Url;

/// The variables, as the library reads them; of two spellings the second one counts where both are there.
const VARIABLES: [&str; 6] =
    ["HTTP_PROXY", "http_proxy", "HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy"];

/// What the variables say.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Proxies {
    /// Proxies may be asked for; the library knows which.
    Perhaps,
    /// Every host is excepted.
    Never,
}

/// Reads the variables. An error names the one that can't be followed; its value may hold a password.
pub fn check() -> Result<Proxies, String> {
    check_all(|name| std::env::var(name).ok())
}

fn check_all(variable: impl Fn(&str) -> Option<String>) -> Result<Proxies, String> {
    let excepted = variable("no_proxy").or_else(|| variable("NO_PROXY")).unwrap_or_default();
    if excepted.split(',').any(|host| host.trim() == "*") {
        return Ok(Proxies::Never);
    }
    for name in VARIABLES {
        let Some(value) = variable(name).filter(|value| !value.trim().is_empty()) else { continue };
        // Without a scheme, it is one of HTTP.
        let value = value.trim();
        let whole = if value.contains("://") { value.to_owned() } else { format!("http://{value}") };
        let url = Url::parse(&whole).ok().filter(|url| url.host_str().is_some_and(|host| !host.is_empty()));
        if !url.is_some_and(|url| matches!(url.scheme(), "http" | "https")) {
            let known = "a proxy is named as in `http://proxy.example.com:3128`, by `http` or `https`";
            return Err(format!("the variable `{name}` can't be followed: {known}"));
        }
    }
    Ok(Proxies::Perhaps)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_that_can_not_be_used_is_not_passed_over() {
        let check = |name: &'static str, value: &'static str| {
            check_all(move |asked| (asked == name).then(|| value.to_owned()))
        };
        for value in
            ["http://proxy:3128", "https://ann:pw@proxy.example.com", "proxy:3128", "10.0.0.1", "", " "]
        {
            assert_eq!(check("HTTPS_PROXY", value), Ok(Proxies::Perhaps), "{value}");
        }
        for value in ["::::", "ftp://host", "http://", "socks5://secret:secret@host:1"] {
            let why = check("http_proxy", value).unwrap_err();
            assert!(why.contains("`http_proxy`") && !why.contains("secret"), "{why}");
        }
        for value in ["*", "a, *"] {
            assert_eq!(check("no_proxy", value), Ok(Proxies::Never));
            assert_eq!(check("NO_PROXY", value), Ok(Proxies::Never));
        }
    }
}
